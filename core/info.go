package core

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// TaskInfo describes a task at one moment.
type TaskInfo struct {
	ID        uint64
	Name      string
	State     string        // "queued", "running", "cancelling" (cancelled or timed out, not ended), or the outcome
	Age       time.Duration // since CreatedAt
	CreatedAt time.Time     // as [Task.CreatedAt]; not in the JSON
	StartedAt time.Time     // as [Task.StartedAt]; not in the JSON
	Timeout   time.Duration // 0: none
	Attrs     []slog.Attr   // as [Task.Attrs]
	Overdue   bool          // it is counted in [Stats].Overdue
	Done      bool
}

// Info describes the task as it is now.
func (t *Task) Info() TaskInfo {
	if m := t.manager; m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	return t.seen(time.Now()).info()
}

// A sighting is a task's state at one moment, cheap to read under the lock.
type sighting struct {
	task    *Task
	at      time.Time
	started time.Time
	state   string
	overdue bool
	done    bool
	lost    bool // the shutdown cancelled it, and it did not complete
}

// seen returns the state of t at now. manager.mu is held, if there is a manager.
func (t *Task) seen(now time.Time) sighting {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sighting{t, now, t.started, t.stateName(now), t.overdue && !t.isDone, t.isDone, t.isLost()}
}

// stateName returns the state as TaskInfo shows it. t.mu is held, and manager.mu if there is one.
func (t *Task) stateName(now time.Time) string {
	switch state := t.item.State(); {
	case t.run == nil: // it has ended, or was made by NewTask
		return t.outcome.String()
	case t.cause != nil, t.isPast(now):
		return "cancelling"
	case state == sched.Queued:
		return "queued"
	default:
		return "running"
	}
}

// isPast reports whether the timeout of the unfinished task t has passed. t.mu is held.
func (t *Task) isPast(now time.Time) bool {
	limit := t.options.timeout
	return limit > 0 && !t.started.IsZero() && !now.Before(t.started.Add(limit))
}

func (s sighting) info() TaskInfo {
	return TaskInfo{
		ID:        s.task.id,
		Name:      s.task.name,
		State:     s.state,
		Age:       s.at.Sub(s.task.created),
		CreatedAt: s.task.created,
		StartedAt: s.started,
		Timeout:   s.task.options.timeout,
		Attrs:     s.task.Attrs(),
		Overdue:   s.overdue,
		Done:      s.done,
	}
}

// Tasks returns a snapshot of the running and queued tasks, oldest first.
func (m *Manager) Tasks() []TaskInfo {
	m.mu.Lock()
	now := time.Now()
	seen := make([]sighting, 0, m.sched.Running()+m.sched.Queued())
	for t := range m.sched.Unfinished {
		seen = append(seen, t.seen(now))
	}
	m.mu.Unlock()
	sortByID(seen)
	return infos(seen)
}

// Handles returns the running and queued tasks, oldest first, for example to cancel all of a name.
// See [Manager.Tasks] for descriptions of them, and [Manager.CancelAll].
func (m *Manager) Handles() []*Task {
	m.mu.Lock()
	tasks := m.unfinished()
	m.mu.Unlock()
	slices.SortFunc(tasks, func(a, b *Task) int { return cmp.Compare(a.id, b.id) })
	return tasks
}

func sortByID(seen []sighting) {
	slices.SortFunc(seen, func(a, b sighting) int { return cmp.Compare(a.task.id, b.task.id) })
}

// infos never returns nil, so that no tasks marshal to [] and not to null.
func infos(seen []sighting) []TaskInfo {
	all := make([]TaskInfo, len(seen))
	for i, s := range seen {
		all[i] = s.info()
	}
	return all
}

// MarshalJSON returns an object with id, name, state, age_seconds, timeout (in seconds, null for
// none), context (an object of the attributes) and done; and overdue, if it is true.
func (i TaskInfo) MarshalJSON() ([]byte, error) {
	var timeout *float64
	if i.Timeout > 0 {
		seconds := i.Timeout.Seconds()
		timeout = &seconds
	}
	return json.Marshal(struct {
		ID         uint64          `json:"id"`
		Name       string          `json:"name"`
		State      string          `json:"state"`
		AgeSeconds float64         `json:"age_seconds"`
		Timeout    *float64        `json:"timeout"`
		Context    json.RawMessage `json:"context"`
		Overdue    bool            `json:"overdue,omitempty"`
		Done       bool            `json:"done"`
	}{i.ID, i.Name, i.State, i.Age.Seconds(), timeout, attrsJSON(i.Attrs), i.Overdue, i.Done})
}

// attrsJSON returns attributes as a JSON object. slog's JSON handler resolves and marshals them, so
// the object is valid whatever an attribute holds.
func attrsJSON(attrs []slog.Attr) json.RawMessage {
	var line bytes.Buffer
	record := slog.NewRecord(time.Time{}, 0, "", 0)
	record.AddAttrs(lastOfEachKey(attrs)...)
	h := slog.NewJSONHandler(&line, &slog.HandlerOptions{ReplaceAttr: durationsInWords}).WithGroup("context")
	if err := h.Handle(context.Background(), record); err != nil {
		return json.RawMessage("{}")
	}
	var out struct{ Context json.RawMessage }
	if err := json.Unmarshal(line.Bytes(), &out); err != nil || out.Context == nil {
		return json.RawMessage("{}")
	}
	return out.Context
}

// durationsInWords writes durations as Go prints them, such as 1.5s.
func durationsInWords(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
