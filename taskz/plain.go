package taskz

import (
	"bytes"
	"fmt"
	"io"
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
func (l *listView) write(b io.Writer, title string) {
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
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSTATE\tAGE\tWAITED\tRAN\tTIMEOUT\tATTRIBUTES\tERROR")
	for i := range l.Tasks {
		t := &l.Tasks[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.number(), visible(t.Name), t.State,
			inWords(&t.AgeSeconds), inWords(&t.QueueSeconds), inWords(t.RunSeconds), inWords(t.Timeout),
			t.Context.text(), visible(t.Error))
	}
	_ = w.Flush() // to memory
}

func (t *taskView) number() string {
	if t.ID == 0 {
		return "-"
	}
	return fmt.Sprint(t.ID)
}

// text returns a task for a terminal.
func (v *taskPage) text() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, visible(value))
		}
	}
	row("id", v.number())
	row("name", v.Name)
	row("state", v.State)
	row("cause", v.Cause)
	row("created", v.CreatedAt.Format(time.RFC3339))
	row("waited", inWords(&v.QueueSeconds))
	row("ran", inWords(v.RunSeconds))
	row("timeout", inWords(v.Timeout))
	for _, p := range v.Context {
		row(p.key, p.value)
	}
	row("error", v.Error)
	row("trace", v.TraceURL)
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
