package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	o, err := parse(nil)
	require.NoError(t, err)
	require.Equal(t, 1_000_000, million(o.tasks), nameMany)
	for _, wrong := range []string{"-write -quick", "-write -only empty", "-only ("} {
		_, err := parse(strings.Fields(wrong))
		require.Error(t, err, wrong)
	}
}

// Every task of every variant runs exactly once and with a live context, and every aim is measured.
func TestQuickRun(t *testing.T) {
	r := results{}
	for _, g := range groups() {
		require.NoError(t, measure(g, 1, perEngine, r))
	}
	for _, a := range aims {
		for i, m := range modes {
			ours, rival := a.keys(m)
			if a.cpu[i] > 0 || m == oneGoroutine {
				require.Len(t, r[ours], 1, a.what)
				require.Len(t, r[rival], 1, a.what)
			}
		}
	}
	var b strings.Builder
	r.write(&b)
	require.Equal(t, len(aims)+len(engines())+4, strings.Count(b.String(), "|\n"), b.String())
	require.NotContains(t, b.String(), "NaN")
}

// A task whose context has ended is an error, and so is one that the engine did not count.
func TestLostTasks(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := tasks(ctx, nameGo, bareGo, empty).sample(allCores, 10)
	require.ErrorContains(t, err, "0 tasks ran with a live context")

	e := byHand(0)()
	for n := range 10 { // some cannot be shared evenly
		e.submit(ctx, mode{"three goroutines", 3, 2}, empty, n)
	}
	require.NoError(t, e.finish(45))
	require.Error(t, e.finish(46))

	_, err = ended(nameHand, byHand(0), 1, func(engine) {}).sample(oneGoroutine, 10)
	require.ErrorContains(t, err, "0 tasks were cancelled and drained, want 10")
}
