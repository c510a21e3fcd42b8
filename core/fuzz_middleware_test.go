package core_test

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

// The middlewares of a random program: one that looks on, and one that does what it should not.

// observer is the outermost middleware.
func (x *machine) observer() core.Middleware {
	o := observer{x}
	return core.Middleware{Spawn: o.spawn, Wrap: o.wrap, Ended: o.ended, Refused: o.refused}
}

type observer struct{ x *machine }

func (o observer) note(task *core.Task, f func(*record)) {
	o.x.mu.Lock()
	defer o.x.mu.Unlock()
	if o.x.records[task] == nil {
		o.x.records[task] = &record{}
	}
	f(o.x.records[task])
}

func (o observer) spawn(ctx context.Context, task *core.Task) context.Context {
	p := ctx.Value(key("plan")).(*plan)
	o.x.setOutside(p, false)
	o.note(task, func(r *record) { r.plan, r.spawns = p, r.spawns+1 })
	return ctx
}

func (o observer) wrap(next core.Handler) core.Handler {
	return func(ctx context.Context, task *core.Task) error {
		o.note(task, func(r *record) { r.runs++ })
		defer o.note(task, func(r *record) { r.ends++ })
		err := next(ctx, task)
		seen := task.OutcomeOf(err)
		o.note(task, func(r *record) { r.seen = seen })
		return err
	}
}

func (o observer) ended(_ context.Context, task *core.Task) {
	select {
	case <-task.Done():
		assert.Fail(o.x.t, "Ended after Done")
	default:
	}
	assert.NotEqual(o.x.t, core.Pending, task.Outcome())
	o.note(task, func(r *record) { r.ended++ })
}

func (o observer) refused(_ context.Context, task *core.Task) {
	assert.Equal(o.x.t, core.Rejected, task.Outcome())
	o.x.mu.Lock()
	defer o.x.mu.Unlock()
	o.x.refused[task]++
}

// mischief is the middleware inside it; what it does goes by the name of the task.
func mischief() core.Middleware {
	mw := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		switch task.Name() {
		case "2":
			panic("handler")
		case "3":
			defer runtime.Goexit()
		case "4": // a retry that obeys
			if err := next(ctx, task); err == nil || during(time.Second)(ctx) != nil {
				return err
			}
		case "5":
			defer time.Sleep(2 * time.Second)
		case "6":
			return errTask // without calling next
		case "8":
			return fmt.Errorf("rate limit: %w", core.ErrRejected)
		}
		return next(ctx, task)
	})
	mw.Spawn = mischievousSpawn
	return mw
}

func mischievousSpawn(ctx context.Context, task *core.Task) context.Context {
	switch task.Name() {
	case "0":
		panic("spawn")
	case "1":
		return nil
	case slowSpawn:
		time.Sleep(time.Second)
	}
	return ctx
}
