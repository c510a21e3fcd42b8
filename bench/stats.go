package main

import "slices"

// A key names what was measured.
type key struct{ group, mode, variant string }

// results are the samples of everything, one for each round.
type results map[key][]figures

func (r results) add(k key, f figures) { r[k] = append(r[k], f) }

// A spread is a median, and the quartiles around it.
type spread struct{ low, median, high float64 }

// spreadOf returns the spread of xs, which must not be empty.
func spreadOf(xs []float64) spread {
	xs = slices.Sorted(slices.Values(xs))
	return spread{quantile(xs, 0.25), quantile(xs, 0.5), quantile(xs, 0.75)}
}

// quantile returns the value below which the share q of the sorted xs lies, between two of them if need be.
func quantile(xs []float64, q float64) float64 {
	at := q * float64(len(xs)-1)
	i := int(at)
	if i+1 == len(xs) {
		return xs[i]
	}
	return xs[i] + (at-float64(i))*(xs[i+1]-xs[i])
}

// of returns the spread of one figure of the samples.
func of(samples []figures, figure func(figures) float64) spread {
	xs := make([]float64, len(samples))
	for i, f := range samples {
		xs[i] = figure(f)
	}
	return spreadOf(xs)
}

// ratio returns the spread of the ratios of a figure, each to the rival's of the same round.
func ratio(samples, rivals []figures, figure func(figures) float64) spread {
	xs := make([]float64, min(len(samples), len(rivals)))
	for i := range xs {
		xs[i] = figure(samples[i]) / figure(rivals[i])
	}
	return spreadOf(xs)
}

func cpuOf(f figures) float64    { return f.cpu }
func wallOf(f figures) float64   { return f.wall }
func bytesOf(f figures) float64  { return f.bytes }
func allocsOf(f figures) float64 { return f.allocs }
func stackOf(f figures) float64  { return f.stack }

// excess returns the spread of the differences of a figure, each to the rival's of the same round.
func excess(samples, rivals []figures, figure func(figures) float64) spread {
	xs := make([]float64, min(len(samples), len(rivals)))
	for i := range xs {
		xs[i] = figure(samples[i]) - figure(rivals[i])
	}
	return spreadOf(xs)
}
