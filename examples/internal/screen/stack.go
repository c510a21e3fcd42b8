package screen

import (
	"path/filepath"
	"strings"
)

// panicSite returns the file:line that a panic came from: the first frame of the Stack of a
// core.PanicError. A frame is two lines, the function and its position.
func panicSite(stack string) string {
	_, rest, _ := strings.Cut(stack, "\n")
	position, _, _ := strings.Cut(rest, "\n")
	if position == "" {
		return "unknown"
	}
	return filepath.Base(strings.TrimSpace(position))
}
