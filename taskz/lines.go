package taskz

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/afterspan/afterspan/core"
)

const (
	maxLines          = 16 // of a task
	maxLine           = 256
	maxTasksWithLines = 2000
)

// lines are the last lines that a task logged, oldest first.
type lines struct {
	all     []line
	dropped int // earlier lines
}

type line struct {
	at    time.Time
	level slog.Level
	text  string
}

func (l *lines) add(one line) {
	if len(l.all) == maxLines {
		copy(l.all, l.all[1:])
		l.all = l.all[:maxLines-1]
		l.dropped++
	}
	l.all = append(l.all, one)
}

// lineStore has the lines of the tasks that have not ended.
type lineStore struct {
	used atomic.Bool // there is a LogHandler

	mu    sync.Mutex
	tasks map[*core.Task]*lines
	swept time.Time // when sweep last looked for tasks that have ended
}

// add adds a line to those of t, unless t has ended or too many tasks have lines.
func (s *lineStore) add(t *core.Task, one line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The outcome is decided before the Ended hooks. So while it is pending, take is still to come.
	if t.Outcome() != core.Pending {
		return
	}
	l := s.tasks[t]
	if l == nil {
		if len(s.tasks) >= maxTasksWithLines && !s.sweep(one.at) {
			return
		}
		if s.tasks == nil {
			s.tasks = make(map[*core.Task]*lines)
		}
		l = new(lines)
		s.tasks[t] = l
	}
	l.add(one)
}

// sweep drops ended tasks that take never sees, since their manager is without the page's
// middleware. It looks at most once a second, and reports whether there is room. s.mu is held.
func (s *lineStore) sweep(now time.Time) bool {
	if now.Sub(s.swept) >= time.Second {
		s.swept = now
		for t := range s.tasks {
			if t.Outcome() != core.Pending {
				delete(s.tasks, t)
			}
		}
	}
	return len(s.tasks) < maxTasksWithLines
}

// take removes and returns the lines of t.
func (s *lineStore) take(t *core.Task) lines {
	if !s.used.Load() {
		return lines{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.tasks[t]
	if l == nil {
		return lines{}
	}
	delete(s.tasks, t)
	return *l
}

// of returns a copy of the lines of t.
func (s *lineStore) of(t *core.Task) lines {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.tasks[t]
	if l == nil {
		return lines{}
	}
	return lines{append([]line(nil), l.all...), l.dropped}
}
