package core

import (
	"math"
	"sync"
	"time"
)

// overdueAfter is how long a task may go on after its context was cancelled before that is logged.
const overdueAfter = 5 * time.Second

// watch is the one timer of a shard that looks for overdue tasks. It only runs while
// there is a task with a timeout, or one that was cancelled.
type watch struct {
	timer   *time.Timer
	at      time.Time // when it fires; zero: it does not
	logging int       // how often it has fired and is not done: log handlers may be slow
}

// watchLocked makes the watch look in d from now at the latest.
func (sh *shard) watchLocked(d time.Duration) {
	at := time.Now().Add(d)
	if !sh.watch.at.IsZero() && !at.Before(sh.watch.at) {
		return
	}
	sh.watch.at = at
	if sh.watch.timer == nil {
		sh.watch.timer = time.AfterFunc(d, sh.logOverdue)
	} else {
		sh.watch.timer.Reset(d)
	}
}

// stopWatchLocked stops the timer of a shard that has nothing left to watch, and never will. Where that is too
// late, the timer's goroutine is on its way, and will take back at itself.
func (sh *shard) stopWatchLocked() {
	if sh.watch.timer != nil && sh.watch.timer.Stop() {
		sh.watch.at = time.Time{}
	}
}

// logOverdue logs, once each, what still runs though its context was cancelled a while ago.
func (sh *shard) logOverdue() {
	overdue := sh.takeOverdue(time.Now())
	defer sh.doneLoggingOverdue()
	if len(overdue) == 0 {
		return
	}
	stacks := goroutineStacks()
	for _, t := range overdue {
		if t.Outcome() == Pending {
			sh.logTask("background task goes on though it was cancelled", t, stacks)
		}
	}
}

// doneLoggingOverdue ends what Wait and Shutdown wait for beside tasks, so that nothing is left when they return.
func (sh *shard) doneLoggingOverdue() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.watch.logging--
	sh.wakeIfIdleLocked()
}

// takeOverdue returns the tasks that are overdue and were not returned before, and makes the
// watch look again when the next one may be.
func (sh *shard) takeOverdue(now time.Time) (overdue []*Task) {
	const atMostEvery = time.Second
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.watch.at = time.Time{}
	sh.watch.logging++
	for t := sh.running.first; t != nil; t = t.next {
		if t.overdue {
			continue
		}
		due, ok := t.dueLocked(now)
		switch {
		case !ok:
		case due.After(now), !sh.overdueLines.allow(now):
			sh.watchLocked(max(due.Sub(now), atMostEvery))
		default:
			t.overdue = true
			overdue = append(overdue, t)
		}
	}
	return overdue
}

// overdueLines keeps the lines about overdue tasks down to 20 a second, of all shards: each has a stack.
type overdueLines struct {
	mu    sync.Mutex
	since time.Time
	count int
}

// allow reports whether there may be one more at now.
func (l *overdueLines) allow(now time.Time) bool {
	const most = 20
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= time.Second {
		l.since, l.count = now, 0
	}
	l.count++
	return l.count <= most
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
