package core

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
)

// runFrame is how a traceback shows the call of run on the goroutine of a task: its second
// argument is the address of the task.
var runFrame = regexp.MustCompile(`/core\.\(\*shard\)\.run\([^,]+, (0x[0-9a-f]+)\)`)

// goroutineStacks returns where the tasks of this process are just now, by stackKey.
//
// It finds a task's goroutine by the address of the task in the traceback, so that tasks need
// neither a label nor a goroutine id while they run. All goroutines stand still meanwhile,
// so with very many of them it returns nil: a log line is not worth that pause.
func goroutineStacks() map[string]string {
	const (
		mostGoroutines = 5000
		mostBytes      = 4 << 20
		mostOfOne      = 4 << 10
	)
	if runtime.NumGoroutine() > mostGoroutines {
		return nil
	}
	buf := make([]byte, mostBytes)
	buf = buf[:runtime.Stack(buf, true)]

	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if frame := runFrame.FindStringSubmatch(stack); frame != nil {
			stacks[frame[1]] = stack[:min(len(stack), mostOfOne)]
		}
	}
	return stacks
}

// stackKey returns what goroutineStacks knows the goroutine of t by.
func stackKey(t *Task) string { return fmt.Sprintf("%p", t) }
