package main

import (
	"path/filepath"
	"strings"
)

// panicSite returns the file:line that a stack's panic came from. That is the first frame after the one of
// panic itself which is not the runtime's.
func panicSite(stack string) string {
	_, frames, _ := strings.Cut(stack, "\npanic(")
	lines := strings.Split(frames, "\n")
	for i := 2; i+1 < len(lines); i += 2 { // a frame is two lines: function, then position
		if strings.HasPrefix(lines[i], "runtime.") {
			continue
		}
		position, _, _ := strings.Cut(filepath.Base(lines[i+1]), " ")
		return position
	}
	return "unknown"
}
