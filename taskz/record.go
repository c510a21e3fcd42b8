package taskz

import (
	"strings"
	"time"

	"github.com/afterspan/afterspan/core"
)

// An outcome is one of core's, or abandoned: a shutdown left the task behind.
type outcome uint8

const (
	completed outcome = iota
	failed
	cancelled
	timedOut
	rejected
	abandoned
	outcomes int = iota
)

// outcomeNames are in the order of the outcomes.
var outcomeNames = [outcomes]string{"completed", "failed", "cancelled", "timed_out", "rejected", "abandoned"}

func (o outcome) String() string { return outcomeNames[o] }

func outcomeOf(t *core.Task) outcome {
	switch t.Outcome() {
	case core.Completed:
		return completed
	case core.Cancelled:
		return cancelled
	case core.TimedOut:
		return timedOut
	case core.Rejected:
		return rejected
	case core.Failed, core.Pending: // Ended is never called with Pending
	}
	return failed
}

// A record is what is remembered of a task. It refers to nothing of the user's.
type record struct {
	id      uint64 // 0: the manager refused it
	name    string
	outcome outcome
	created time.Time
	started time.Time // zero: it never ran
	ended   time.Time // of an abandoned task: when it was abandoned
	timeout time.Duration
	attrs   pairs
	err     string
	cause   string // of a cancel or a timeout
	stack   string // of a panic
	traceID string
	lines   lines
}

// describe sets all fields but the outcome, the trace and the lines. The task ended at now. It
// calls user code, so no lock is held.
func (r *record) describe(t *core.Task, now time.Time) {
	r.id, r.name, r.timeout = t.ID(), t.Name(), t.Timeout()
	r.created, r.started, r.ended = t.CreatedAt(), t.StartedAt(), now
	r.attrs = textOf(t.Attrs())
	if err := t.Err(); err != nil {
		r.describeError(t, err)
	}
}

func (r *record) describeError(t *core.Task, err error) {
	r.err = errorText(err)
	r.cause = t.CauseOf(err)
	if panicked, ok := t.PanicOf(err); ok {
		r.stack = strings.Clone(cut(string(panicked.Stack), maxStack))
	}
}

// wait returns how long the task waited for its start.
func (r *record) wait() time.Duration {
	if r.started.IsZero() {
		return r.ended.Sub(r.created)
	}
	return r.started.Sub(r.created)
}

// duration returns how long the task ran.
func (r *record) duration() time.Duration {
	if r.started.IsZero() {
		return 0
	}
	return r.ended.Sub(r.started)
}
