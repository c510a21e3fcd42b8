package core

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime"
	"strings"
)

// A goroutine has no public id, so the stack of a task is found in a traceback of all goroutines:
// runTask has the Task as its argument, and a traceback shows arguments. If a future Go shows them
// differently, there is no stack, and TestStackOfAnOverdueTaskIsItsOwn and TestStackOfATask fail.

// taskFrame matches the frame of runTask in a traceback. It captures the second argument, the
// address of the Task.
var taskFrame = regexp.MustCompile(`/core\.\(\*Manager\)\.runTask\([^,]+, (0x[0-9a-f]+)\)`)

// Stack returns the stack of the goroutine that runs t, as a traceback shows it: why the goroutine
// waits, since when, and the calls, innermost first. Stack returns at most 64 KiB of it.
//
// ok is false if t is not running, and for a task made by [NewTask]. Goroutines that the Func
// started are not shown; where a middleware runs the Func on a goroutine of its own, the stack ends
// in the middleware.
//
// Call it when a person asks, not regularly: it stops the whole process while the runtime writes
// down all goroutines: about 60 ms with 10,000 of them and 0.7 s with 100,000, and several times
// that when the memory for it is new. The traceback takes 1 to 2 KiB a goroutine, at most 256 MiB.
// If that is not enough, the goroutine may be missed.
func (t *Task) Stack() (stack string, ok bool) {
	if t.StartedAt().IsZero() || !t.isLive() {
		return "", false
	}
	found := findStack(traceback(), t)
	return found, found != ""
}

// traceback returns the stacks of all goroutines.
func traceback() []byte {
	const (
		minBytes     = 1 << 20
		bytesForEach = 1536
		maxBytes     = 256 << 20
	)
	// Each try stops the world, so the first one should do.
	size := max(minBytes, runtime.NumGoroutine()*bytesForEach)
	for {
		buf := make([]byte, min(size, maxBytes))
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) == maxBytes {
			return buf[:n]
		}
		size = 2 * len(buf)
	}
}

// findStack returns the stack of t in a traceback, or "". It searches for t's address and tries
// taskFrame only on lines that have it: the traceback may have hundreds of megabytes.
func findStack(all []byte, t *Task) string {
	const maxBytes = 64 << 10
	argument := fmt.Appendf(nil, ", %p)", t)
	for from := 0; ; {
		i := bytes.Index(all[from:], argument)
		if i < 0 {
			return ""
		}
		at := from + i
		from = at + len(argument)
		line := all[bytes.LastIndexByte(all[:at], '\n')+1 : from]
		if taskFrame.Match(line) {
			stack := stackAround(all, at)
			return string(stack[:min(len(stack), maxBytes)])
		}
	}
}

// stackAround returns the stack that the byte at i is part of. Empty lines separate stacks.
func stackAround(all []byte, i int) []byte {
	between := []byte("\n\n")
	begin := max(bytes.LastIndex(all[:i], between), 0)
	rest, _, _ := bytes.Cut(all[i:], between)
	return bytes.TrimSpace(all[begin : i+len(rest)])
}

// goroutineStacks returns the stacks of the tasks of this process, by stackKey. To take them stops
// all goroutines, so it returns nil if there are more than 5,000.
func goroutineStacks() map[string]string {
	const (
		maxGoroutines = 5000
		maxBytesOfOne = 4 << 10
	)
	if runtime.NumGoroutine() > maxGoroutines {
		return nil
	}
	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(traceback()), "\n\n") {
		if frame := taskFrame.FindStringSubmatch(stack); frame != nil {
			stacks[frame[1]] = stack[:min(len(stack), maxBytesOfOne)]
		}
	}
	return stacks
}

// stackKey returns the key of t's stack in what goroutineStacks returns.
func stackKey(t *Task) string { return fmt.Sprintf("%p", t) }
