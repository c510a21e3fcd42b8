package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/afterspan/afterspan/core"
)

// answerText returns the question and its answer, each sentence with its source.
func answerText(o options, a answer, outDir string) string {
	var out strings.Builder
	fmt.Fprintln(&out, "Q:", o.question)
	if len(a.quotes) == 0 {
		fmt.Fprintln(&out, "A:", a)
	}
	for i, q := range a.quotes {
		mark := "   "
		if i == 0 {
			mark = "A: "
		}
		fmt.Fprintln(&out, wrap(mark+q.text, "   "))
		fmt.Fprintf(&out, "   — %s, %s:%d\n", q.title, filepath.Join(o.folder, filepath.FromSlash(q.file)), q.line)
	}
	fmt.Fprintln(&out, "The transcript and the events:", outDir)
	return out.String()
}

// logsText returns what was logged, fitted to the screen.
func logsText(logs string) string {
	var out strings.Builder
	out.WriteString("The logs. A line about a task has the ids of that task's own span.\n")
	for line := range strings.Lines(logs) {
		fmt.Fprintln(&out, wrap(strings.TrimSpace(line), "    "))
	}
	return out.String()
}

// statsText returns what the shutdown came to.
func statsText(stats core.ShutdownStats) string {
	content, err := json.MarshalIndent(stats, "", "  ")
	if err != nil { // numbers and a word: it does not happen
		return err.Error()
	}
	return fmt.Sprintf("What the shutdown of the background tasks came to: %s\n", content)
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
