package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// write writes what was measured in Markdown.
func (r results) write(w *strings.Builder) {
	writeTable(w, "CPU time against the rivals",
		"| | against | one goroutine | all cores | one at a time | memory |", r.aimRows())
	writeTable(w, "An empty task, all engines",
		"| | one goroutine | all cores | one at a time | bytes | allocs |", r.engineRows())
}

// aimRows returns the rows of the aims that were measured.
func (r results) aimRows() (rows [][]string) {
	for _, a := range aims {
		ours, rival := a.keys(oneGoroutine)
		if len(r[ours]) == 0 {
			continue
		}
		row := []string{a.what, a.rival}
		for i, m := range modes {
			row = append(row, r.cpuCell(a, m, a.cpu[i]))
		}
		rows = append(rows, append(row, a.memory.cell(r[ours], r[rival])))
	}
	return rows
}

// cpuCell writes a ratio, and whether it meets its limit.
func (r results) cpuCell(a aim, m mode, limit float64) string {
	ours, rival := a.keys(m)
	if len(r[ours]) == 0 || a.cpu == (ratios{}) {
		return ""
	}
	s := ratio(r[ours], r[rival])
	if limit == 0 {
		return s.String()
	}
	return s.String() + verdict(s.median, limit)
}

// cell writes what is allocated, and whether it meets its limit.
func (l memory) cell(ours, rival []figures) string {
	allocs := tenths(median(ours, allocsOf))
	switch {
	case l.allocs > 0:
		return "allocs: " + number(allocs) + verdict(allocs, l.allocs)
	case l.moreAllocs > 0:
		more := tenths(allocs - median(rival, allocsOf))
		return "allocs beyond it: " + number(more) + verdict(more, l.moreAllocs)
	case l.moreBytes > 0:
		more := median(ours, bytesOf) - median(rival, bytesOf)
		return "bytes beyond it: " + number(more) + verdict(more, l.moreBytes)
	default:
		return ""
	}
}

func verdict(got, limit float64) string {
	word := "met"
	if got > limit {
		word = "**missed**"
	}
	return fmt.Sprintf(", at most %v: %s", limit, word)
}

// engineRows returns the rows of the engines, if they were measured.
func (r results) engineRows() (rows [][]string) {
	for _, v := range engines() {
		row := []string{v.name}
		for _, m := range modes {
			samples, floor := r[key{"empty", m.name, v.name}], r[key{"empty", m.name, nameGo}]
			if len(samples) == 0 {
				return nil
			}
			row = append(row, fmt.Sprintf("%s, %.0f ns", ratio(samples, floor), median(samples, cpuOf)))
		}
		samples := r[key{"empty", oneGoroutine.name, v.name}]
		row = append(row, number(median(samples, bytesOf)), number(median(samples, allocsOf)))
		rows = append(rows, row)
	}
	return rows
}

// writeTable writes a table, if it has rows.
func writeTable(w *strings.Builder, title, head string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	rule := strings.Repeat("| --- ", strings.Count(head, "|")-1)
	fmt.Fprintf(w, "### %s\n\n%s\n%s|\n", title, head, rule)
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}

// String writes the median with the quartiles.
func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high)
}

// number writes x with one decimal where it is not whole.
func number(x float64) string { return strconv.FormatFloat(tenths(x), 'f', -1, 64) }

// tenths rounds x to one decimal.
func tenths(x float64) float64 { return math.Round(x*10)/10 + 0 }
