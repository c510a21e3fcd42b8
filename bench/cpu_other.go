//go:build !unix

package main

import "time"

var started = time.Now()

// cpuTime returns how long the process has run: the CPU time is not to be had in the same way here, so the ratios are those of wall time.
func cpuTime() time.Duration { return time.Since(started) }
