package core

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
)

// A goroutine has no public id, so the stack of a task that does not stop is found in a traceback
// of all goroutines: runTask has the Task as its argument, and a traceback shows arguments. If a
// future compiler shows them otherwise, the log line has no stack and
// TestStackOfAnOverdueTaskIsItsOwn fails.

// taskFrame is how a traceback shows the call of runTask. Its second argument is the Task's
// address.
var taskFrame = regexp.MustCompile(`/core\.\(\*Manager\)\.runTask\([^,]+, (0x[0-9a-f]+)\)`)

// goroutineStacks returns the stacks of the tasks of this process, by stackKey. All goroutines
// stand still meanwhile, so with very many of them it returns nil: a log line is not worth that
// pause.
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
		if frame := taskFrame.FindStringSubmatch(stack); frame != nil {
			stacks[frame[1]] = stack[:min(len(stack), mostOfOne)]
		}
	}
	return stacks
}

// stackKey returns the key of t's stack in what goroutineStacks returns.
func stackKey(t *Task) string { return fmt.Sprintf("%p", t) }
