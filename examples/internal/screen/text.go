package screen

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// logsText returns the log, wrapped to the width of the screen.
func logsText(logs string) string {
	var out strings.Builder
	out.WriteString("The logs. A line about a task has the ids of that task's own span.\n")
	for line := range strings.Lines(logs) {
		fmt.Fprintln(&out, wrap(strings.TrimSpace(line), "    "))
	}
	return out.String()
}

// wrap breaks a text at its spaces, where it is too wide. Further lines begin with indent.
func wrap(text, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(text, " ") {
		width := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+width > columns:
			b.WriteString("\n" + indent)
			column = utf8.RuneCountInString(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
