package main

import "slices"

// A key names what was measured.
type key struct{ group, mode, variant string }

// results are the samples of everything, one for each round.
type results map[key][]figures

// A spread is a median with its quartiles.
type spread struct{ low, median, high float64 }

// spreadOf returns the spread of xs, which must not be empty.
func spreadOf(xs []float64) spread {
	xs = slices.Sorted(slices.Values(xs))
	return spread{quantile(xs, 0.25), quantile(xs, 0.5), quantile(xs, 0.75)}
}

// quantile returns the value below which the share q of the sorted xs lies. It may lie between two.
func quantile(xs []float64, q float64) float64 {
	at := q * float64(len(xs)-1)
	i := int(at)
	if i+1 == len(xs) {
		return xs[i]
	}
	return xs[i] + (at-float64(i))*(xs[i+1]-xs[i])
}

// median returns the median of one figure of the samples.
func median(samples []figures, figure func(figures) float64) float64 {
	var xs []float64
	for _, f := range samples {
		xs = append(xs, figure(f))
	}
	return spreadOf(xs).median
}

// ratio returns the spread of the ratios of CPU time, each to the rival's of the same round.
func ratio(samples, rivals []figures) spread {
	var xs []float64
	for i := range samples {
		xs = append(xs, samples[i].cpu/rivals[i].cpu)
	}
	return spreadOf(xs)
}

func cpuOf(f figures) float64    { return f.cpu }
func bytesOf(f figures) float64  { return f.bytes }
func allocsOf(f figures) float64 { return f.allocs }
