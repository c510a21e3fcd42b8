package screen

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// columns is the width of everything that is printed.
const columns = 100

// A table is spans as they come on the screen, one a row.
type table []row

type row struct {
	span   span
	trace  string // its short id, in the first row of each
	label  string
	note   string // what the span is linked to
	errors string
}

// row makes the row of a span. branch stands before the span's name, and is empty for a root.
func (f forest) row(s span, branch string) row {
	r := row{span: s, label: branch + s.Name, note: f.note(s), errors: s.errors()}
	if s.isTask() {
		r.label = branch + taskLabel(s.Name, s.outcome())
	}
	if branch == "" {
		r.trace = shortID(s.SpanContext.TraceID)
	}
	return r
}

func (f forest) note(s span) string {
	other, ok := f.linked(s)
	switch {
	case ok && s.isTask():
		return fmt.Sprintf("← %s, trace %s", other.Name, shortID(other.SpanContext.TraceID))
	case ok:
		note := "→ trace " + shortID(other.SpanContext.TraceID)
		if outcome := s.outcome(); outcome != "" {
			note += ", " + outcome
		}
		return note
	default:
		return ""
	}
}

func (t table) width() (width int) {
	for _, r := range t {
		width = max(width, utf8.RuneCountInString(r.label))
	}
	return width
}

// write writes the rows below a line of titles. The time at which a span ended counts from zero.
func (t table) write(out *strings.Builder, title string, width int, zero time.Time) {
	writeColumns(out, width, "TRACE", title, "TOOK", "ENDED", "LINKED TO")
	for _, r := range t {
		writeColumns(out, width, r.trace, r.label, inWords(r.span.took()), "+"+inWords(r.span.EndTime.Sub(zero)), r.note)
		if r.errors != "" {
			fmt.Fprintln(out, wrap(strings.Repeat(" ", 10)+r.errors, strings.Repeat(" ", 12)))
		}
	}
}

func writeColumns(out *strings.Builder, width int, trace, label, took, ended, note string) {
	line := fmt.Sprintf("%-8s  %-*s %7s %8s  %s", trace, width, label, took, ended, note)
	fmt.Fprintln(out, clip(strings.TrimRight(line, " ")))
}

func taskLabel(name, outcome string) string { return fmt.Sprintf("%-17s %s", name, outcome) }

// inWords returns a duration in at most seven columns, up to 1000 s.
func inWords(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	default:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
}

// clip cuts a line that is too wide.
func clip(line string) string {
	runes := []rune(line)
	if len(runes) <= columns {
		return line
	}
	return string(runes[:columns-1]) + "…"
}
