package core

import (
	"encoding/json"
	"time"
)

// Stats are the counters and gauges of a manager, read at one instant:
// Created = Running + Queued + Completed + Failed + Cancelled + TimedOut + Rejected.
type Stats struct {
	Created   uint64 `json:"created"` // calls of Go that were accepted or refused
	Completed uint64 `json:"completed"`
	Failed    uint64 `json:"failed"`
	Cancelled uint64 `json:"cancelled"`
	TimedOut  uint64 `json:"timed_out"`
	Rejected  uint64 `json:"rejected"` // by the manager, or by a middleware

	Running int `json:"running"` // above the limit only after SetLimit lowered it
	Queued  int `json:"queued"`  // includes tasks cancelled in the queue, until they end
	// Overdue counts running tasks that were cancelled or timed out over five seconds ago. It may
	// lag by a second.
	Overdue int `json:"overdue"`
	// Oldest is how long the first of the running tasks has been running; 0 if none has begun.
	Oldest time.Duration `json:"-"`
}

// count adds one task to the counter of its outcome.
func (s *Stats) count(o Outcome) {
	switch o {
	case Completed:
		s.Completed++
	case Failed:
		s.Failed++
	case Cancelled:
		s.Cancelled++
	case TimedOut:
		s.TimedOut++
	case Rejected:
		s.Rejected++
	case Pending:
	}
}

// Stats returns the counters and gauges as they are now.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.counted
	s.Rejected += m.refused
	s.Running, s.Queued, s.Overdue = m.sched.Running(), m.sched.Queued(), m.watch.overdue
	for t := range m.sched.Started {
		if started := t.StartedAt(); !started.IsZero() {
			s.Oldest = time.Since(started)
			break
		}
	}
	return s
}

// MarshalJSON encodes the tagged fields and oldest_seconds.
func (s Stats) MarshalJSON() ([]byte, error) {
	type plain Stats
	return json.Marshal(struct {
		plain
		OldestSeconds float64 `json:"oldest_seconds"`
	}{plain(s), s.Oldest.Seconds()})
}
