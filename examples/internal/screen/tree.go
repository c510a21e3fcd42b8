package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A forest is spans put together to their traces.
type forest struct {
	spans    map[spanID]span
	children map[spanID][]span
	roots    []span // those whose parent is not there
}

// newForest puts spans in the order of their start. A task counts from its spawn: whichever ran
// first, they come as in the code that spawned them.
func newForest(spans []span) forest {
	f := forest{spans: make(map[spanID]span), children: make(map[spanID][]span)}
	for _, s := range spans {
		f.spans[s.SpanContext] = s
	}
	inOrder := slices.Clone(spans)
	slices.SortStableFunc(inOrder, func(a, b span) int { return f.origin(a).Compare(f.origin(b)) })
	for _, s := range inOrder {
		if _, ok := f.spans[s.Parent]; ok {
			f.children[s.Parent] = append(f.children[s.Parent], s)
		} else {
			f.roots = append(f.roots, s)
		}
	}
	return f
}

func (f forest) origin(s span) time.Time {
	if spawn, ok := f.linked(s); ok && s.isTask() {
		return spawn.StartTime
	}
	return s.StartTime
}

// linked returns the span that s links to, if it is there.
func (f forest) linked(s span) (other span, ok bool) {
	if len(s.Links) == 0 {
		return span{}, false
	}
	other, ok = f.spans[s.Links[0].SpanContext]
	return other, ok
}

// tables returns the rows of the background tasks, and of everything else.
func (f forest) tables() (request, tasks table) {
	for _, root := range f.roots {
		if root.isTask() {
			tasks = f.appendRows(tasks, root, "", "")
		} else {
			request = f.appendRows(request, root, "", "")
		}
	}
	return request, tasks
}

// appendRows appends the row of a span, and those of all beneath it: branch stands before its own
// name, and indent before those of its children.
func (f forest) appendRows(t table, s span, branch, indent string) table {
	t = append(t, f.row(s, branch))
	children := f.children[s.SpanContext]
	for i, child := range children {
		if i < len(children)-1 {
			t = f.appendRows(t, child, indent+"├─ ", indent+"│  ")
		} else {
			t = f.appendRows(t, child, indent+"└─ ", indent+"   ")
		}
	}
	return t
}

// tracesText returns the trace of the request, then those of its background tasks. The time at
// which a span ended counts from the start of the request.
func tracesText(spans []span) string {
	request, tasks := newForest(spans).tables()
	if len(request) == 0 {
		return "There are no spans.\n"
	}
	root := request[0].span
	width := max(request.width(), tasks.width())
	late, all := tasks.endedAfter(root.EndTime)

	var out strings.Builder
	fmt.Fprintf(&out, "The trace of %s. Each spawn span leads to the trace of its task.\n", root.Name)
	request.write(&out, "SPAN", width, root.StartTime)
	fmt.Fprintf(&out, "\nIts background tasks, each with a trace of its own. %d of %d ended after %s had.\n",
		late, all, root.Name)
	tasks.write(&out, taskLabel("TASK", "OUTCOME"), width, root.StartTime)
	return out.String()
}

// endedAfter returns how many of the tasks ended after end, and how many there are.
func (t table) endedAfter(end time.Time) (late, all int) {
	for _, r := range t {
		if !r.span.isTask() {
			continue
		}
		all++
		if r.span.EndTime.After(end) {
			late++
		}
	}
	return late, all
}
