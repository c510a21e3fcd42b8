package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// made returns results that were made up. The noise of a round shows in no ratio.
func made() results {
	r := results{}
	add := func(k key, f figures) { r[k] = append(r[k], f) }
	for noise := 1.0; noise <= 3; noise++ {
		for _, v := range engines() {
			for _, m := range modes {
				add(key{"empty", m.name, v.name}, figures{cpu: 400 * noise, bytes: 240, allocs: 5})
			}
		}
		add(key{"parked", oneGoroutine.name, nameGo}, figures{bytes: 111})
		add(key{"parked", oneGoroutine.name, nameOurs}, figures{bytes: 711.04})
		for _, m := range modes {
			add(key{"log", m.name, nameGo}, figures{cpu: 100 * noise})
			add(key{"log", m.name, nameHand}, figures{cpu: 200 * noise})
			add(key{"log", m.name, nameOurs}, figures{cpu: 70 * noise})
		}
	}
	return r
}

func TestTable(t *testing.T) {
	var b strings.Builder
	made().write(&b)
	for _, row := range []string{
		"| empty task | bare `go` | 1.00 (1.00–1.00), at most 2.2: met | " +
			"1.00 (1.00–1.00), at most 2.2: met | 1.00 (1.00–1.00), at most 2.5: met | " +
			"allocs: 5, at most 2: **missed** |\n",
		"| task that logs a line | bare `go` | 0.70 (0.70–0.70), at most 0.6: **missed** | " +
			"0.70 (0.70–0.70), at most 0.6: **missed** | 0.70 (0.70–0.70) |  |\n",
		"| task that logs a line | by hand | 0.35 (0.35–0.35) | 0.35 (0.35–0.35) | " +
			"0.35 (0.35–0.35), at most 1: met |  |\n",
		"| parked task | bare `go` |  |  |  | bytes beyond it: 600, at most 500: **missed** |\n",
		"| errgroup | 1.00 (1.00–1.00), 800 ns | 1.00 (1.00–1.00), 800 ns | " +
			"1.00 (1.00–1.00), 800 ns | 240 | 5 |\n",
	} {
		require.Contains(t, b.String(), row)
	}
	require.NotContains(t, b.String(), "child span", "it was not measured")
}

func TestREADMEHasAPlaceForTheTable(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text, err := replaceTable(string(readme), "TABLE")
	require.NoError(t, err)
	require.Contains(t, text, tableBegin+"\n\nTABLE\n\n"+tableEnd)
	again, err := replaceTable(text, "TABLE")
	require.NoError(t, err)
	require.Equal(t, text, again)
	_, err = replaceTable("nothing", "TABLE")
	require.Error(t, err)
}
