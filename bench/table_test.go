package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// made returns a report of figures that were made up.
func made() report {
	g := groups()[0]
	g.variants = g.variants[:3] // bare go, by hand, afterspan
	r := report{results: results{}, groups: []group{g}, many: manyInFlight}
	for _, m := range g.modes {
		for round := range 3 {
			noise := float64(1 + round) // which no ratio shows
			r.results.add(key{g.name, m.name, nameGo}, figures{cpu: 100 * noise, wall: 100, bytes: 48, allocs: 1})
			r.results.add(key{g.name, m.name, nameHand}, figures{cpu: 400 * noise, wall: 400, bytes: 240, allocs: 5})
			r.results.add(key{g.name, m.name, nameOurs}, figures{cpu: 200 * noise, wall: 150, bytes: 344.04, allocs: 2})
		}
	}
	return r
}

func TestTable(t *testing.T) {
	var b strings.Builder
	made().write(&b)
	require.Contains(t, b.String(),
		"| empty task | bare `go` | one goroutine | 2.00 (2.00–2.00) | 1.5 | **missed** | 1.50 | 344 | 2 (at most 2: met) |\n")
	require.Contains(t, b.String(),
		"| empty task | by hand | all cores | 0.50 (0.50–0.50) | 0.7 | met | 0.38 | 344 | 2 |\n")
	require.Contains(t, b.String(),
		"| by hand | 4.00 (4.00–4.00) | 4.00 (4.00–4.00) | 4.00 (4.00–4.00) | 4.00 | 4.00 | 4.00 | 240 | 5 |\n")
	require.Contains(t, b.String(),
		"| empty task | by hand | one at a time | 0.50 (0.50–0.50) |  |  | 0.38 | 344 | 2 |\n", "nothing is aimed at there")
	require.NotContains(t, b.String(), "Tasks in flight", "what was not measured")
	require.NotContains(t, b.String(), "NaN")
}

func TestTableOfTasksInFlight(t *testing.T) {
	r := report{results: results{}, many: manyInFlight}
	for _, f := range fleets(r.many) {
		for i, k := range crowdKinds() {
			at := func(group string) key { return key{group, f.mode(), k.name} }
			r.results.add(at(groupParked), figures{bytes: float64(100 * (i + 1)), stack: 2048})
			r.results.add(at(groupWaiting), figures{bytes: float64(200 * (i + 1)), stack: 2048})
			r.results.add(at(groupDrain), figures{cpu: 10, wall: 10})
			if i > 0 {
				r.results.add(at(groupList), figures{cpu: float64(i), wall: float64(i)})
			}
		}
	}
	var b strings.Builder
	r.write(&b)
	require.Contains(t, b.String(), "| bytes of a parked task, 1,000 in flight | beyond those of bare `go` |  |  | 400 bytes | met |  | 200 |  |\n")
	require.Contains(t, b.String(), "| 1,000,000 | bare `go` | 100 | 0 | 2048 | 200 | – | – | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) |\n")
	require.Contains(t, b.String(), "| 1 | **afterspan** | 300 | 200 | 2048 | 600 | 2.00 (2.00–2.00) | 2.00 (2.00–2.00) | ")
}
