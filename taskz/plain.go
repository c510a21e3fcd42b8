package taskz

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// text returns the page for a terminal.
func (v *pageView) text() []byte {
	var b bytes.Buffer
	s := v.Stats
	fmt.Fprintf(&b, "%s  %s\n", visible(v.Title), v.At.Format(time.RFC3339))
	fmt.Fprintf(&b, "running %d  queued %d  overdue %d  oldest %v\n", s.Running, s.Queued, s.Overdue, s.Oldest.Round(time.Millisecond))
	fmt.Fprintf(&b, "since the start: completed %d  failed %d  timed_out %d  cancelled %d  rejected %d\n",
		s.Completed, s.Failed, s.TimedOut, s.Cancelled, s.Rejected)
	switch {
	case s.Overdue == 1:
		fmt.Fprintln(&b, "1 does not stop: ?state=overdue")
	case s.Overdue > 1:
		fmt.Fprintf(&b, "%d do not stop: ?state=overdue\n", s.Overdue)
	}
	if v.Draining {
		fmt.Fprintln(&b, "shutting down: new tasks are refused")
	}
	v.Running.write(&b, "running and queued")
	for _, name := range outcomeNames {
		if l := v.Ended[name]; l.Total > 0 {
			l.write(&b, name)
		}
	}
	return b.Bytes()
}

// write writes a table of the tasks.
func (l *listView) write(b *bytes.Buffer, title string) {
	fmt.Fprintf(b, "\n%s: %d", title, l.Total)
	if l.Matching < l.Total {
		fmt.Fprintf(b, ", %d match", l.Matching)
	}
	if len(l.Tasks) < l.Matching {
		fmt.Fprintf(b, ", %d listed", len(l.Tasks))
	}
	fmt.Fprintln(b)
	if len(l.Tasks) == 0 {
		return
	}
	const maxErrorShown = 120 // bytes: each row is as wide as the longest error
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	row(w, "ID", "NAME", "STATE", "AGE", "WAITED", "RAN", "TIMEOUT", "ERROR", "ATTRIBUTES")
	for i := range l.Tasks {
		t := &l.Tasks[i]
		state := shownState(t.State, t.Overdue)
		row(w, t.number(), visible(t.Name), state, inWords(&t.AgeSeconds), inWords(&t.QueueSeconds),
			inWords(t.RunSeconds), inWords(t.Timeout), visible(cut(t.Error, maxErrorShown)), t.Context.text())
	}
	_ = w.Flush() // to memory
	for line := range bytes.Lines(table.Bytes()) {
		b.Write(append(bytes.TrimRight(line, " \n"), '\n'))
	}
}

// row writes a row of a table, to memory.
func row(w io.Writer, cells ...string) { _, _ = io.WriteString(w, strings.Join(cells, "\t")+"\n") }

func (t *taskView) number() string {
	if t.ID == 0 {
		return "-"
	}
	return strconv.FormatUint(t.ID, 10)
}

// text returns a task for a terminal.
func (v *taskPage) text() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	field := func(key, value string) {
		if value != "" {
			row(w, visible(key), visible(value))
		}
	}
	field("id", v.number())
	field("name", v.Name)
	field("state", shownState(v.State, v.Overdue))
	field("cause", v.Cause)
	field("created", v.CreatedAt.Format(time.RFC3339))
	field("waited", inWords(&v.QueueSeconds))
	field("ran", inWords(v.RunSeconds))
	field("timeout", inWords(v.Timeout))
	for _, p := range v.Context {
		field(p.key, p.value)
	}
	field("error", v.Error)
	field("trace", v.TraceURL)
	_ = w.Flush() // to memory
	if v.Stack != "" {
		fmt.Fprintf(&b, "\n%s", v.Stack)
	}
	if len(v.Lines) > 0 {
		fmt.Fprintln(&b)
	}
	for _, l := range v.Lines {
		fmt.Fprintf(&b, "%s %s %s\n", l.At.Format("15:04:05.000"), l.Level, visible(l.Text))
	}
	if v.RunSeconds != nil && v.EndedAt == nil {
		fmt.Fprintf(&b, "\nwhere it is: curl -X POST …/stack?id=%d\n", v.ID)
	}
	return b.Bytes()
}

func (p pairs) text() string {
	var b strings.Builder
	writePairs(&b, p)
	return visible(strings.TrimPrefix(b.String(), " "))
}

// inWords returns a time such as 1.5s, or - for none.
func inWords(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return time.Duration(*seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// visible replaces characters that change how a terminal shows the text around them.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, s)
}
