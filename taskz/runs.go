package taskz

import (
	"context"
	"sync"

	"github.com/afterspan/afterspan/core"
)

// runs has the contexts of the running tasks, in which their traces are found. It is split by id,
// because each task writes to it twice.
type runs [16]runShard

type runShard struct {
	mu   sync.Mutex
	runs map[uint64]run
	peak int      // the largest length of runs so far
	_    [40]byte // each shard has its own cache line
}

type run struct {
	ctx  context.Context
	task *core.Task
}

// wrap is the Wrap hook.
func (r *runs) wrap(next core.Handler) core.Handler {
	return func(ctx context.Context, t *core.Task) error {
		s := &r[t.ID()%uint64(len(r))]
		s.add(ctx, t)
		defer s.remove(t.ID())
		return next(ctx, t)
	}
}

// of returns the run of the task with that id.
func (r *runs) of(id uint64) (one run, ok bool) {
	s := &r[id%uint64(len(r))]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok = s.runs[id]
	return one, ok
}

func (s *runShard) add(ctx context.Context, t *core.Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == nil {
		s.runs = make(map[uint64]run)
	}
	s.runs[t.ID()] = run{ctx, t}
	s.peak = max(s.peak, len(s.runs))
}

// remove drops the map once it is empty and was large: a map never shrinks.
func (s *runShard) remove(id uint64) {
	const large = 1024
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, id)
	if len(s.runs) == 0 && s.peak > large {
		s.runs, s.peak = nil, 0
	}
}
