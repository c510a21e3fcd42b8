package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A report is what is printed of the results. It leaves out what has not been measured.
type report struct {
	results results
	groups  []group
	many    int // the most tasks in flight
}

// write writes the report in Markdown.
func (r report) write(w *strings.Builder) {
	r.writeTargets(w)
	for _, g := range r.groups {
		r.writeGroup(w, g)
	}
	r.writeInFlight(w)
}

// writeTable writes a table, if it has rows. Columns but the first are aligned to the right if their heading ends in a colon.
func writeTable(w *strings.Builder, title string, notes []string, heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "### %s\n\n", title)
	if len(notes) > 0 {
		fmt.Fprintf(w, "%s\n\n", strings.Join(notes, " "))
	}
	rules := make([]string, len(heads))
	for i, h := range heads {
		rules[i] = "---"
		if name, right := strings.CutSuffix(h, ":"); right {
			heads[i], rules[i] = name, "---:"
		}
	}
	for _, row := range append([][]string{heads, rules}, rows...) {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}

func (r report) writeTargets(w *strings.Builder) {
	var rows [][]string
	for _, t := range append(targets(), crowdedTarget(r.many)) {
		for _, m := range t.modes {
			if row := r.targetRow(t, m); row != nil {
				rows = append(rows, row)
			}
		}
	}
	for _, f := range fleets(r.many)[1:] {
		if row := r.parkedRow(f); row != nil {
			rows = append(rows, row)
		}
	}
	writeTable(w, "afterspan against each rival", []string{
		"CPU and wall are ratios to the rival. In brackets the quartiles.",
	}, []string{"", "against", "submitted by", "CPU:", "at most:", "", "wall:", "bytes:", "allocs:"}, rows)
}

// keys returns what t compares in a mode.
func (t target) keys(mode string) (ours, rival key) {
	ours, rival = t.ours, t.rival
	if ours.mode == "" {
		ours.mode, rival.mode = mode, mode
	}
	return ours, rival
}

func (r report) targetRow(t target, mode string) []string {
	oursKey, rivalKey := t.keys(mode)
	ours, rival := r.results[oursKey], r.results[rivalKey]
	if len(ours) == 0 || len(rival) == 0 {
		return nil
	}
	cpu, wall := ratio(ours, rival, cpuOf), ratio(ours, rival, wallOf)
	limit, verdict := "", ""
	if t.cpu > 0 && mode != oneAtATime.name { // what is aimed at is about tasks that come in batches
		limit, verdict = number(t.cpu), met(cpu.median, t.cpu)
	}
	return []string{
		t.what, t.versus, mode, cpu.String(), limit, verdict, factor(wall.median),
		number(of(ours, bytesOf).median), t.allocsCell(of(ours, allocsOf).median, of(rival, allocsOf).median),
	}
}

// allocsCell writes the allocations, and the verdict on them if there is a target.
func (t target) allocsCell(ours, rival float64) string {
	limit := t.allocs
	if t.moreAllocs > 0 {
		limit = rival + t.moreAllocs
	}
	if limit == 0 {
		return number(ours)
	}
	return fmt.Sprintf("%s (at most %s: %s)", number(ours), number(limit), met(tenths(ours), tenths(limit)))
}

// parkedRow is what a parked task takes beyond a parked goroutine.
func (r report) parkedRow(f fleet) []string {
	ours, rival := r.results[key{groupParked, f.mode(), nameOurs}], r.results[key{groupParked, f.mode(), nameGo}]
	if len(ours) == 0 || len(rival) == 0 {
		return nil
	}
	bytes := excess(ours, rival, bytesOf).median
	return []string{
		"bytes of a parked task, " + f.mode(), "beyond those of bare `go`", "", "",
		strconv.Itoa(maxParked) + " bytes", met(bytes, maxParked), "", number(bytes), "",
	}
}

func met(got, most float64) string {
	if got <= most {
		return "met"
	}
	return "**missed**"
}

func (r report) writeGroup(w *strings.Builder, g group) {
	floor := g.variants[0].name
	var notes []string
	var rows [][]string
	for _, m := range g.modes {
		if samples := r.results[key{g.name, m.name, floor}]; len(samples) > 0 {
			notes = append(notes, fmt.Sprintf("%s takes %.0f ns of CPU time, %s.", floor, of(samples, cpuOf).median, m.name))
		}
	}
	if len(notes) == 0 {
		return
	}
	for _, v := range g.variants {
		rows = append(rows, r.variantRow(g, v.name, floor))
	}
	writeTable(w, g.title, append(notes, "All ratios are to it."), []string{
		"", "CPU, one goroutine:", "CPU, all cores:", "CPU, one at a time:",
		"wall, one goroutine:", "wall, all cores:", "wall, one at a time:", "bytes:", "allocs:",
	}, rows)
}

func (r report) variantRow(g group, name, floor string) []string {
	var cpu, wall []string
	for _, m := range g.modes {
		samples, floors := r.results[key{g.name, m.name, name}], r.results[key{g.name, m.name, floor}]
		cpu = append(cpu, ratio(samples, floors, cpuOf).String())
		wall = append(wall, factor(ratio(samples, floors, wallOf).median))
	}
	samples := r.results[key{g.name, g.modes[0].name, name}]
	row := append([]string{name}, append(cpu, wall...)...)
	return append(row, number(of(samples, bytesOf).median), number(of(samples, allocsOf).median))
}

func (r report) writeInFlight(w *strings.Builder) {
	var rows [][]string
	for _, f := range fleets(r.many) {
		for _, k := range crowdKinds() {
			if row := r.crowdRow(f, k.name); row != nil {
				rows = append(rows, row)
			}
		}
	}
	writeTable(w, "Tasks in flight", r.inFlightNotes(), []string{
		"in flight:", "", "heap:", "beyond `go`:", "stack:", "heap, Done() made:",
		"list, CPU:", "list, wall:", "cancel, CPU:", "cancel, wall:",
	}, rows)
}

func (r report) inFlightNotes() []string {
	notes := []string{"Heap and stack are bytes per task. Ratios are to what is written by hand, which takes, per task,"}
	for _, f := range fleets(r.many) {
		list, drain := r.results[key{groupList, f.mode(), nameHand}], r.results[key{groupDrain, f.mode(), nameHand}]
		if len(list) > 0 && len(drain) > 0 {
			notes = append(notes, fmt.Sprintf("with %s %.0f ns of CPU time to list and %.0f to cancel and drain;",
				f.mode(), of(list, cpuOf).median, of(drain, cpuOf).median))
		}
	}
	last := len(notes) - 1
	notes[last] = strings.TrimSuffix(notes[last], ";") + "."
	return append(notes, fmt.Sprintf("With %s: %d rounds, and one for the memory.", thousands(r.many), roundsOfMany))
}

func (r report) crowdRow(f fleet, kind string) []string {
	get := func(group, kind string) []figures { return r.results[key{group, f.mode(), kind}] }
	samples := get(groupParked, kind)
	if len(samples) == 0 {
		return nil
	}
	row := []string{
		thousands(f.each), kind, number(of(samples, bytesOf).median),
		number(excess(samples, get(groupParked, nameGo), bytesOf).median), number(of(samples, stackOf).median),
		number(of(get(groupWaiting, kind), bytesOf).median),
	}
	for _, group := range []string{groupList, groupDrain} {
		for _, figure := range []func(figures) float64{cpuOf, wallOf} {
			row = append(row, ratioCell(get(group, kind), get(group, nameHand), figure))
		}
	}
	return row
}

// ratioCell writes a ratio, or a dash where there is none.
func ratioCell(samples, rivals []figures, figure func(figures) float64) string {
	if len(samples) == 0 || len(rivals) == 0 {
		return "–"
	}
	return ratio(samples, rivals, figure).String()
}

// String writes the median with the quartiles.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", factor(s.median), factor(s.low), factor(s.high))
}

// factor writes a ratio.
func factor(x float64) string {
	if x >= 9.95 {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// number writes x with one decimal where it is not whole.
func number(x float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(tenths(x), 'f', 1, 64), ".0")
}

// tenths rounds x to one decimal.
func tenths(x float64) float64 { return math.Round(x*10)/10 + 0 }
