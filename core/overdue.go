package core

import (
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// overdueAfter is how long after its cancel or timeout a running task is overdue. It is then
// counted, and logged once.
const overdueAfter = 5 * time.Second

// watch is the timer of a manager that looks for overdue tasks. A timeout or a cancel sets it.
// Manager.mu guards it.
type watch struct {
	timer   *time.Timer
	at      time.Time // when it fires; zero: it does not
	overdue int       // running tasks that are overdue, as of the last look

	second time.Time // when the first of lines came
	lines  int       // within a second from then, logged or not
}

// lookAt makes the timer fire at that time at the latest. m.mu is held.
func (m *Manager) lookAt(at time.Time) {
	w := &m.watch
	if !w.at.IsZero() && !at.Before(w.at) {
		return
	}
	w.at = at
	if d := time.Until(at); w.timer == nil {
		w.timer = time.AfterFunc(d, m.lookForOverdue)
	} else {
		w.timer.Reset(d)
	}
}

// watchTimeout sets the timer for the moment when t, which is about to start, may become overdue.
// m.mu is held.
func (m *Manager) watchTimeout(t *Task) {
	if limit := t.options.timeout; limit > 0 {
		m.lookAt(time.Now().Add(limit).Add(overdueAfter))
	}
}

// stopWatch stops the timer after a drain. If it has fired already, its goroutine finds nothing.
// m.mu is held.
func (m *Manager) stopWatch() {
	if m.watch.timer != nil && m.watch.timer.Stop() {
		m.watch.at = time.Time{}
	}
}

// forgetOverdue corrects the number of overdue tasks when t ends. m.mu is held.
func (m *Manager) forgetOverdue(t *Task) {
	if t.overdue {
		m.watch.overdue--
	}
}

// lookForOverdue logs each overdue task once.
func (m *Manager) lookForOverdue() {
	defer m.helped()
	overdue := m.takeOverdue(time.Now())
	if len(overdue) == 0 {
		return
	}
	stacks := goroutineStacks()
	for _, t := range overdue {
		if t.isLive() {
			m.logOverdue(t, stacks)
		}
	}
}

// takeOverdue counts the overdue tasks, returns those to log, and sets the timer for the next one.
func (m *Manager) takeOverdue(now time.Time) (overdue []*Task) {
	const lookAgain = time.Second
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch.at = time.Time{}
	m.helpers++ // this goroutine
	var next time.Time
	for t := range m.sched.Started {
		due, ok := t.overdueAt()
		if !ok || t.reported {
			continue
		}
		if !due.After(now) {
			m.countOverdue(t)
			if m.watch.takeLine(now) {
				t.reported = true
				overdue = append(overdue, t)
				continue
			}
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	if !next.IsZero() {
		if soonest := now.Add(lookAgain); next.Before(soonest) {
			next = soonest
		}
		m.lookAt(next)
	}
	return overdue
}

// takeLine reports whether one more task may be logged at now: twenty a second are.
func (w *watch) takeLine(now time.Time) bool {
	const maxPerSecond = 20
	if now.Sub(w.second) >= time.Second {
		w.second, w.lines = now, 0
	}
	w.lines++
	return w.lines <= maxPerSecond
}

// countOverdue counts t once, if it has a slot. m.mu is held.
func (m *Manager) countOverdue(t *Task) {
	if !t.overdue && t.item.State() == sched.Running {
		t.overdue = true
		m.watch.overdue++
	}
}

// overdueAt returns when t becomes overdue. ok is false if it cannot.
func (t *Task) overdueAt() (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := t.options.timeout
	switch {
	case t.cause != nil:
		return t.cancelledAt.Add(overdueAfter), true
	case limit <= 0:
		return time.Time{}, false
	case t.started.IsZero(): // its run has not begun; it may begin now
		return time.Now().Add(limit).Add(overdueAfter), true
	default:
		return t.started.Add(limit).Add(overdueAfter), true
	}
}
