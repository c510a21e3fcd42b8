package core_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// What a Spawn gets is what context.WithoutCancel would make of the spawner's context.
func TestTheContextOfASpawnIsDetached(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithTimeoutCause(context.WithValue(t.Context(), key{}, "value"), time.Hour, errTask)
		var got context.Context
		m := newManager(core.WithMiddleware(spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
			got = ctx
			return ctx
		})))
		require.NoError(t, m.Go(ctx, "x", succeed).Wait(t.Context()))
		cancel()
		for name, ctx := range map[string]context.Context{"ours": got, "the standard library's": context.WithoutCancel(ctx)} {
			assert.Equal(t, "value", ctx.Value(key{}), name)
			assert.Nil(t, ctx.Done(), name)
			require.NoError(t, ctx.Err(), name)
			require.NoError(t, context.Cause(ctx), name)
			assert.Nil(t, ctx.Value(cancelCtxKey), name)
			_, ok := ctx.Deadline()
			assert.False(t, ok, name)
			child, cancel := context.WithCancelCause(ctx)
			require.NoError(t, child.Err(), name)
			cancel(errTask)
			assert.Equal(t, errTask, context.Cause(child), name)
		}
	})
}

// ownContext is derived from another one, and ends by itself.
type ownContext struct {
	context.Context
	done chan struct{}
}

func (c ownContext) Done() <-chan struct{} { return c.done }

func (c ownContext) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// The cause of a context that a Spawn derives by hand is not that of the spawner, which is detached.
func TestTheCauseOfAContextThatASpawnDerivesByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		own := ownContext{done: make(chan struct{})}
		m := newManager(core.WithMiddleware(spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
			own.Context = ctx
			return own
		})))
		spawner, cancel := context.WithCancelCause(t.Context())
		cancel(errTask)
		task := m.Go(spawner, "x", func(ctx context.Context) error {
			close(own.done)
			synctest.Wait()
			assert.Equal(t, context.Canceled, context.Cause(ctx))
			assert.Equal(t, context.Canceled, context.Cause(own))
			return nil
		})
		require.NoError(t, task.Wait(t.Context()))
	})
}
