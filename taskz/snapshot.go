package taskz

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/afterspan/afterspan/core"
)

// A snapshot is the state of the manager and the memory at one moment. All readers within a second
// share it.
type snapshot struct {
	at       time.Time
	stats    core.Stats
	draining bool
	tasks    []core.TaskInfo // running and queued, oldest first
	total    *overTime
	names    []nameView
	namesCut int // further names of running and queued tasks
}

// nameView is one name in the JSON.
type nameView struct {
	Name          string    `json:"name"`
	Running       int       `json:"running"` // without queued, with cancelling and overdue
	Queued        int       `json:"queued"`
	Overdue       int       `json:"overdue"`
	OldestSeconds float64   `json:"oldest_seconds"` // the age of the oldest that has not ended
	OverTime      *overTime `json:"over_time,omitempty"`

	started []int64 // the slots in which the unfinished tasks started
}

// maxNamesShown is larger than maxSeries.
const maxNamesShown = 100

// snapshot takes a snapshot of the tasks of m.
func (p *Page) snapshot(m *core.Manager) *snapshot {
	s := &snapshot{tasks: unfinished(m), stats: m.Stats(), at: time.Now(), names: []nameView{}}
	select {
	case <-m.Draining():
		s.draining = true
	default:
	}
	names := p.countNames(s)
	p.addHistory(s, names)
	for _, n := range names {
		s.names = append(s.names, *n)
	}
	s.cutNames()
	return s
}

// unfinished describes the running and queued tasks. [core.Manager.Tasks] does so at one instant,
// and with 100,000 tasks none starts or ends meanwhile, for 13 ms. Here that takes about half as
// long.
func unfinished(m *core.Manager) []core.TaskInfo {
	handles := m.Handles()
	tasks := make([]core.TaskInfo, 0, len(handles))
	for _, t := range handles {
		if info := t.Info(); !info.Done {
			tasks = append(tasks, info)
		}
	}
	return tasks
}

// countNames groups the unfinished tasks by name, as it is shown.
func (p *Page) countNames(s *snapshot) map[string]*nameView {
	names := make(map[string]*nameView)
	oldest := p.slot(s.at) - slots
	for i := range s.tasks {
		t := &s.tasks[i]
		name := cut(t.Name, maxName)
		n := names[name]
		if n == nil { // t is the oldest of its name
			n = &nameView{Name: name, OldestSeconds: seconds(t.Age)}
			names[name] = n
		}
		switch {
		case t.State == "queued" || t.StartedAt.IsZero() && t.State != "running":
			n.Queued++
		default:
			n.Running++
		}
		if t.Overdue {
			n.Overdue++
		}
		if slot := p.slot(t.StartedAt); slot > oldest {
			n.started = append(n.started, slot)
		}
	}
	return names
}

// addHistory adds the figures over time to the names, and adds the names without unfinished tasks.
func (p *Page) addHistory(s *snapshot, names map[string]*nameView) {
	now := p.slot(s.at)
	total := sums{last: now}
	for _, one := range p.memory.history(now) {
		total.add(one)
		n := names[one.name]
		if n == nil {
			n = &nameView{Name: one.name}
			names[one.name] = n
		}
		own := sums{last: now}
		own.add(one)
		own.addRunning(n.started)
		n.OverTime = own.view()
	}
	for _, n := range names {
		total.addRunning(n.started)
	}
	s.total = total.view()
}

// cutNames keeps the names with the most overdue and then unfinished tasks. They are sorted, so
// that a name keeps its place.
func (s *snapshot) cutNames() {
	if len(s.names) > maxNamesShown {
		slices.SortFunc(s.names, func(a, b nameView) int {
			return cmp.Or(cmp.Compare(b.Overdue, a.Overdue), cmp.Compare(b.Running+b.Queued, a.Running+a.Queued),
				strings.Compare(a.Name, b.Name))
		})
		s.namesCut = len(s.names) - maxNamesShown
		s.names = s.names[:maxNamesShown]
	}
	slices.SortFunc(s.names, func(a, b nameView) int { return strings.Compare(a.Name, b.Name) })
}
