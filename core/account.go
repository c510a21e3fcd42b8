package core

import "time"

// An account is how a shutdown went, all at one instant.
type account struct {
	stats  ShutdownStats
	lost   []sighting // tasks that the shutdown cancelled, and that did not complete
	left   []sighting // tasks that did not stop
	idle   bool       // nothing is left: no task, no hook and no log handler
	ctxErr error
}

func (m *Manager) account(began time.Time, first bool, ctxErr error) account {
	m.mu.Lock()
	now := time.Now()
	lost, left := m.lost(now), m.left(now)
	a := account{m.shutdownStats(len(left)), lost, left, m.isIdle(), ctxErr}
	m.mu.Unlock()
	sortByID(lost)
	sortByID(left)
	a.stats.Duration = now.Sub(began)
	switch {
	case !first:
		a.stats.Status = "already_shutdown"
	case len(left) > 0:
		a.stats.Status = "timeout"
	case len(lost) > 0:
		a.stats.Status = "cancelled"
	default:
		a.stats.Status = "completed"
	}
	return a
}

func (a account) shutdownError() *ShutdownError {
	return &ShutdownError{Stats: a.stats, Cancelled: infos(a.lost), Remaining: infos(a.left), ctxErr: a.ctxErr}
}

// shutdownStats returns the figures since the shutdown began. left is the number of tasks that did
// not stop. A task that the shutdown cancelled in the queue counts as cancelled, even if its chain
// has not ended. m.mu is held.
func (m *Manager) shutdownStats(left int) ShutdownStats {
	now, before := m.counted, m.shutdown.before
	passing := m.sched.Running() + m.sched.Queued() - left
	return ShutdownStats{
		InitialTasks:   before.Running + before.Queued,
		SpawnedTasks:   int(m.lastID - m.shutdown.lastID),
		CompletedTasks: int(now.Completed - before.Completed),
		FailedTasks:    int(now.Failed - before.Failed),
		CancelledTasks: int(now.Cancelled-before.Cancelled) + passing,
		TimedOutTasks:  int(now.TimedOut - before.TimedOut),
		RejectedTasks:  int(now.Rejected - before.Rejected),
		RemainingTasks: left,
		HandedOver:     m.shutdown.handedOver,
	}
}

// lost returns the tasks that the shutdown cancelled, and that did not complete and were not handed
// over. m.mu is held.
func (m *Manager) lost(now time.Time) []sighting {
	lost := make([]sighting, 0, len(m.shutdown.cancelled))
	for _, t := range m.shutdown.cancelled {
		if s := t.seen(now); s.lost {
			lost = append(lost, s)
		}
	}
	return lost
}

// left returns the tasks that did not stop, other than those in lost. m.mu is held.
func (m *Manager) left(now time.Time) (left []sighting) {
	left = make([]sighting, 0, m.sched.Running()+m.sched.Queued())
	for t := range m.sched.Unfinished {
		if s := t.seen(now); !s.lost {
			left = append(left, s)
		}
	}
	return left
}

// isLost reports whether t is work that the shutdown lost: t was cancelled by it, skips its Func or
// did not complete after that, and no middleware saved its work. t.mu is held, and manager.mu if
// there is one.
func (t *Task) isLost() bool {
	switch {
	case !t.byShutdown:
		return false
	case t.isDone:
		return t.outcome != Completed && t.endCause == ErrShutdown && !t.handedOver
	default:
		return t.skipped
	}
}

// cancelled returns how many of the lost tasks have the outcome cancelled, or will have. Others,
// such as one that panicked because of the cancel, have a line of their own.
func (a account) cancelled() (n int) {
	for _, s := range a.lost {
		if !s.done || s.state == Cancelled.String() {
			n++
		}
	}
	return n
}
