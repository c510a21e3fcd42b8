package core

import (
	"math"
	"time"
)

// overdueAfter is how long a task may go on after its context was cancelled before that is logged.
const overdueAfter = 5 * time.Second

// watch is the one timer of a manager that looks for overdue tasks. It only runs while
// there is a task with a timeout, or one that was cancelled.
type watch struct {
	timer   *time.Timer
	at      time.Time // when it fires; zero: it does not
	logging int       // how often it has fired and is not done: log handlers may be slow
}

// watchLocked makes the watch look in d from now at the latest.
func (m *Manager) watchLocked(d time.Duration) {
	at := time.Now().Add(d)
	if !m.watch.at.IsZero() && !at.Before(m.watch.at) {
		return
	}
	m.watch.at = at
	if m.watch.timer == nil {
		m.watch.timer = time.AfterFunc(d, m.logOverdue)
	} else {
		m.watch.timer.Reset(d)
	}
}

// stopWatchLocked stops the timer of a manager that has nothing left to watch, and never will. Where that is too
// late, the timer's goroutine is on its way, and will take back at itself.
func (m *Manager) stopWatchLocked() {
	if m.watch.timer != nil && m.watch.timer.Stop() {
		m.watch.at = time.Time{}
	}
}

// logOverdue logs, once each, what still runs though its context was cancelled a while ago.
func (m *Manager) logOverdue() {
	overdue := m.takeOverdue(time.Now())
	defer m.doneLoggingOverdue()
	if len(overdue) == 0 {
		return
	}
	stacks := goroutineStacks()
	for _, t := range overdue {
		if t.Outcome() == Pending {
			m.logTask("background task goes on though it was cancelled", t, stacks)
		}
	}
}

// doneLoggingOverdue ends what Wait and Shutdown wait for beside tasks, so that nothing is left when they return.
func (m *Manager) doneLoggingOverdue() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch.logging--
	m.wakeIfIdleLocked()
}

// takeOverdue returns the tasks that are overdue and were not returned before, and makes the
// watch look again when the next one may be.
func (m *Manager) takeOverdue(now time.Time) (overdue []*Task) {
	const (
		atMostEvery = time.Second
		most        = 20 // at a time: each is a line with a stack
	)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch.at = time.Time{}
	m.watch.logging++
	for t := m.running.first; t != nil; t = t.next {
		if t.overdue {
			continue
		}
		due, ok := t.dueLocked(now)
		switch {
		case !ok:
		case due.After(now), len(overdue) == most:
			m.watchLocked(max(due.Sub(now), atMostEvery))
		default:
			t.overdue = true
			overdue = append(overdue, t)
		}
	}
	return overdue
}

// dueLocked returns when t will be overdue, if it has been cancelled or has a timeout.
func (t *Task) dueLocked(now time.Time) (due time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch cancelled := t.more().cancelled; {
	case cancelled != 0:
		return t.created.Add(cancelled + overdueAfter), true
	case t.options.timeout <= 0:
		return time.Time{}, false
	case !t.started:
		return now.Add(plus(t.options.timeout, overdueAfter)), true
	}
	return t.created.Add(plus(t.context().limit(), overdueAfter)), true
}

// plus returns the sum of two durations that are not negative, or the longest there is: a
// timeout may be that, too.
func plus(a, b time.Duration) time.Duration {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return math.MaxInt64
}
