package taskz

import (
	"path"
	"regexp"
	"strings"
)

// finding says in a sentence where the goroutine of a stack is: why it waits, since when, and in
// which call of the program.
func finding(stack string) string {
	header, calls, _ := strings.Cut(stack, "\n")
	reason, since := stateOfGoroutine(header)
	var sentence string
	switch {
	case strings.HasPrefix(reason, "run"), strings.HasPrefix(reason, "syscall"):
		sentence = "It is busy"
	case since != "":
		sentence = "It waits: " + reason + " for " + since
	default:
		sentence = "It waits: " + reason
	}
	if call, place := innermost(calls); call != "" {
		sentence += ", in " + call + " at " + place
	}
	return sentence + "."
}

// goroutineState matches such as [chan receive (leaked), 5 minutes].
var goroutineState = regexp.MustCompile(`\[([^\],]+)(?:, (\d+ minutes))?`)

func stateOfGoroutine(header string) (reason, since string) {
	m := goroutineState.FindStringSubmatch(header)
	if m == nil {
		return "unknown", ""
	}
	return strings.ReplaceAll(m[1], " (leaked)", ""), m[2]
}

// innermost returns the innermost call of the program or its libraries, and its place.
func innermost(calls string) (call, place string) {
	lines := strings.Split(calls, "\n")
	for i := 0; i+1 < len(lines); i++ {
		if isPrograms(lines[i]) {
			return path.Base(withoutArguments(lines[i])), placeOf(lines[i+1])
		}
	}
	return "", ""
}

var afterspans = regexp.MustCompile(`^github\.com/afterspan/afterspan/(core|otelmw|taskz)\.`)

// isPrograms tells the calls of the program and its libraries from those of Go and of this library.
func isPrograms(line string) bool {
	switch {
	case strings.HasPrefix(line, "\t"), strings.HasPrefix(line, "created by "), afterspans.MatchString(line):
		return false
	case strings.HasPrefix(line, "main."):
		return true
	}
	first, _, isPath := strings.Cut(withoutArguments(line), "/")
	return isPath && strings.Contains(first, ".")
}

// withoutArguments drops the arguments of a call.
func withoutArguments(call string) string {
	if i := strings.LastIndexByte(call, '('); i > 0 {
		return call[:i]
	}
	return call
}

// placeOf shortens the second line of a call to its last folder, file and line.
func placeOf(line string) string {
	place, _, _ := strings.Cut(strings.TrimSpace(line), " +0x")
	return path.Join(path.Base(path.Dir(place)), path.Base(place))
}
