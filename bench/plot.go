package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The layout of the plot, in pixels.
const (
	plotWidth = 900
	axisStart = 330
	axisEnd   = 830
	lineStep  = 19
)

// A bar is one line of the plot.
type bar struct {
	label  string
	ratio  spread
	target float64 // 0: none
}

// A section is a title and its bars.
type section struct {
	title string
	bars  []bar
}

// An axis is logarithmic, from low to high.
type axis struct{ low, high float64 }

func (a axis) x(ratio float64) float64 {
	return axisStart + (axisEnd-axisStart)*math.Log(ratio/a.low)/math.Log(a.high/a.low)
}

// plot draws the ratios of CPU time to a bare go statement, from one goroutine, as SVG.
func plot(r report) string {
	sections := r.sections()
	a := axisOf(sections)
	var body strings.Builder
	y := 60.0
	for _, s := range sections {
		fmt.Fprintf(&body, `<text x="16" y="%.0f" class="title">%s</text>`+"\n", y+14, html.EscapeString(s.title))
		y += lineStep + 4
		for _, b := range s.bars {
			body.WriteString(b.svg(a, y))
			y += lineStep
		}
		y += 12
	}
	return head(y) + a.grid(y) + body.String() + "</svg>\n"
}

// sections are the main lines of each group.
func (r report) sections() (all []section) {
	for _, g := range r.groups {
		s := section{title: g.title}
		floor := r.results[key{g.name, oneGoroutine.name, g.variants[0].name}]
		for _, v := range g.variants[1:] {
			samples := r.results[key{g.name, oneGoroutine.name, v.name}]
			if len(samples) > 0 && isMain(g.name, v.name) {
				s.bars = append(s.bars, bar{v.name, ratio(samples, floor, cpuOf), targetOf(g, v.name)})
			}
		}
		all = append(all, s)
	}
	return all
}

// isMain reports whether a variant is in the plot: the libraries only with an empty task and without a timeout. The table has all.
func isMain(group, name string) bool {
	switch group {
	case "empty":
		isRival := func(v variant) bool { return name == v.name+", timeout" }
		return !slices.ContainsFunc(rivals(), isRival)
	case "tracing":
		return true
	default:
		return slices.Contains([]string{nameHand, nameOurs, nameGoTimed, nameHandTimed, nameOursTimed}, name)
	}
}

// targetOf returns what a variant is aimed at against the floor, or 0.
func targetOf(g group, name string) float64 {
	for _, t := range targets() {
		if t.ours.group == g.name && t.ours.variant == name && t.rival.variant == g.variants[0].name {
			return t.cpu
		}
	}
	return 0
}

// axisOf returns an axis on which all bars, and 1, have a place.
func axisOf(sections []section) axis {
	a := axis{0.5, 2}
	for _, s := range sections {
		for _, b := range s.bars {
			a.low, a.high = min(a.low, b.ratio.low*0.9), max(a.high, b.ratio.high*1.1)
		}
	}
	return a
}

// svg draws a bar from 1 to the median, a line between the quartiles, the figure, and a mark at the target.
func (b bar) svg(a axis, y float64) string {
	label, class := strings.NewReplacer("*", "", "`", "").Replace(b.label), "rival"
	if strings.HasPrefix(b.label, "**") {
		class = "ours"
	}
	one, median := a.x(1), a.x(b.ratio.median)
	mid := y + 8
	var s strings.Builder
	fmt.Fprintf(&s, `<text x="%d" y="%.1f" class="label %s">%s</text>`, axisStart-12, y+12, class, html.EscapeString(label))
	fmt.Fprintf(&s, `<rect x="%.1f" y="%.1f" width="%.1f" height="11" class="%s"/>`,
		min(one, median), y+2.5, math.Abs(median-one), class)
	fmt.Fprintf(&s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="spread"/>`,
		a.x(b.ratio.low), mid, a.x(b.ratio.high), mid)
	if b.target > 0 {
		fmt.Fprintf(&s, `<line x1="%.1[1]f" y1="%.1[2]f" x2="%.1[1]f" y2="%.1[3]f" class="target"/>`, a.x(b.target), y, y+16)
	}
	end := max(one, median, a.x(b.ratio.high), a.x(max(b.target, a.low)))
	fmt.Fprintf(&s, `<text x="%.1f" y="%.1f" class="figure">%s</text>`+"\n", end+5, y+12, factor(b.ratio.median))
	return s.String()
}

// grid draws the lines of the axis, that of 1 stronger.
func (a axis) grid(height float64) string {
	var s strings.Builder
	for _, at := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200} {
		if at < a.low || at > a.high {
			continue
		}
		class := "grid"
		if at == 1 {
			class = "floor"
		}
		fmt.Fprintf(&s, `<line x1="%.1[1]f" y1="50" x2="%.1[1]f" y2="%.1[2]f" class="%[3]s"/>`, a.x(at), height-8, class)
		fmt.Fprintf(&s, `<text x="%.1f" y="44" class="tick">%s</text>`+"\n", a.x(at), number(at))
	}
	return s.String()
}

// head is the beginning of the file. The white ground is for pages that are dark.
func head(height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%.0[2]f" viewBox="0 0 %[1]d %.0[2]f">
<style>
text { font: 13px "DejaVu Sans", Verdana, sans-serif; fill: #222 }
.title { font-weight: bold }
.label { text-anchor: end }
.tick { text-anchor: middle; fill: #666; font-size: 12px }
.figure { font-size: 11px; fill: #444 }
text.ours { fill: #0b5cad; font-weight: bold }
rect.ours { fill: #2f81d8 }
rect.rival { fill: #b4bac2 }
.grid { stroke: #e4e6ea }
.floor { stroke: #555 }
.spread { stroke: #222; stroke-width: 1.5 }
.target { stroke: #d1242f; stroke-width: 2.5 }
</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="16" y="22" class="title">CPU time of a task, bare go = 1 (one goroutine; line: quartiles; red: target)</text>
`, plotWidth, height)
}
