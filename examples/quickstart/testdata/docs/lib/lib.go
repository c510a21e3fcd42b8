// Package lib drives a kettle.
package lib

// A Valve lets steam out. [Valve.Open] is all it can do.
//
//	Valve{}.Open() // pressure, shutdown: code
type Valve struct{}

// Open opens the valve.
func (Valve) Open() {}

// secret is not exported: pressure, shutdown.
func secret() {}

// The states of a lamp.
const (
	// LampOn is lit.
	LampOn = iota
	LampOff
)
