//go:build !unix

package main

import "time"

var started = time.Now()

// cpuTime returns how long the process has run, since there is no getrusage. So ratios
// are ratios of wall time.
func cpuTime() time.Duration { return time.Since(started) }
