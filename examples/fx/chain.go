package main

import (
	"cmp"
	"slices"

	"go.uber.org/fx"

	"github.com/afterspan/afterspan/core"
)

// placed is a middleware with its place in the chain. A value group of fx is in no order, a chain is.
type placed struct {
	place place
	core.Middleware
}

type place int

const (
	outermost place = iota // otelmw: it sees what those further in do
	innermost              // next to what it protects
)

type placedOut struct {
	fx.Out
	Middleware placed `group:"middlewares"`
}

func inOrder(all []placed) (chain []core.Middleware) {
	all = slices.SortedStableFunc(slices.Values(all), func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	for _, one := range all {
		chain = append(chain, one.Middleware)
	}
	return chain
}
