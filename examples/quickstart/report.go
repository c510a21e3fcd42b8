package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/afterspan/afterspan/core"
)

// printAnswer prints an answer, each sentence with its source.
func printAnswer(w io.Writer, o options, a answer, outDir string) {
	fmt.Fprintln(w, "Q:", o.question)
	if len(a.quotes) == 0 {
		fmt.Fprintln(w, "A:", a)
	}
	for i, q := range a.quotes {
		mark := "   "
		if i == 0 {
			mark = "A: "
		}
		fmt.Fprintln(w, wrap(mark+q.text, "   "))
		fmt.Fprintf(w, "   — %s, %s:%d\n", q.title, filepath.Join(o.folder, filepath.FromSlash(q.file)), q.line)
	}
	fmt.Fprintln(w, "The transcript and the events:", outDir)
}

// printLogs prints what was logged.
func printLogs(w io.Writer, logs string) {
	fmt.Fprintln(w, "\nThe logs. A line about a task has the ids of that task's own span.")
	for line := range strings.Lines(logs) {
		fmt.Fprintln(w, wrap(strings.TrimSpace(line), "    "))
	}
}

// printStats prints what the shutdown came to.
func printStats(w io.Writer, stats core.ShutdownStats) error {
	content, err := json.MarshalIndent(stats, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nWhat the shutdown of the background tasks came to: %s\n", content)
	return err
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
