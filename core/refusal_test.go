package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 3: a refusal is never silent, and needs no "if err".

func TestRefusedTaskIsDoneAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		manager func(t *testing.T, opts ...core.Option) *core.Manager
		err     error
	}{
		"after Shutdown": {func(t *testing.T, opts ...core.Option) *core.Manager {
			m := newManager(opts...)
			_, err := m.Shutdown(t.Context())
			require.NoError(t, err)
			return m
		}, core.ErrClosed},
		"after Close": {func(t *testing.T, opts ...core.Option) *core.Manager {
			m := newManager(opts...)
			require.NoError(t, m.Close())
			return m
		}, core.ErrClosed},
		"while another goroutine shuts down": {func(t *testing.T, opts ...core.Option) *core.Manager {
			m := newManager(opts...)
			m.Go(t.Context(), "last", ignore(time.Second))
			go func() {
				_, err := m.Shutdown(t.Context())
				assert.NoError(t, err)
			}()
			synctest.Wait()
			return m
		}, core.ErrClosed},
		"where every slot is taken": {func(t *testing.T, opts ...core.Option) *core.Manager {
			m := newManager(append(opts, core.WithLimit(1, 0))...)
			m.Go(t.Context(), "first", ignore(time.Second))
			return m
		}, core.ErrFull},
		"where the queue is full": {func(t *testing.T, opts ...core.Option) *core.Manager {
			m := newManager(append(opts, core.WithLimit(1, 1))...)
			m.Go(t.Context(), "first", ignore(time.Second))
			m.Go(t.Context(), "second", ignore(time.Second))
			return m
		}, core.ErrFull},
	} {
		inBubble(t, name, func(t *testing.T) {
			var seen journal
			m := tc.manager(t, core.WithMiddleware(
				spawnFunc(func(ctx context.Context, task *core.Task) context.Context { seen.add(task.Name()); return ctx }),
				around(func(ctx context.Context, task *core.Task, next core.Handler) error {
					seen.add(task.Name())
					return next(ctx, task)
				})))
			before := counts(m)
			task := m.Go(t.Context(), "refused", func(context.Context) error {
				assert.Fail(t, "Func was called")
				return nil
			}, core.WithAttrs(slog.String("thread_id", "t1")), core.WithTimeout(time.Second))

			require.NotNil(t, task)
			select {
			case <-task.Done():
			default:
				require.Fail(t, "is not done")
			}
			require.Equal(t, core.Rejected, task.Outcome())
			require.Equal(t, tc.err, task.Err())
			require.Equal(t, tc.err, task.Wait(t.Context()))
			require.True(t, task.StartedAt().IsZero())
			require.Equal(t, "rejected", task.Info().State)
			require.True(t, task.Info().Done)
			require.Equal(t, "refused", task.Name())
			require.Equal(t, []slog.Attr{slog.String("thread_id", "t1")}, task.Attrs())

			after := before
			after.Created++
			after.Rejected++
			require.Equal(t, after, counts(m), "it is counted once")
			task.Cancel() // as harmless as on any task that is done
			require.Equal(t, core.Rejected, task.Outcome())
			require.NoError(t, m.Wait(t.Context()))
			require.NotContains(t, seen.all(), "refused", "no middleware is called")
		})
	}
}

func TestRefusalIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		require.NoError(t, m.Close())
		m.Go(t.Context(), "send_receipt", succeed, core.WithAttrs(slog.String("thread_id", "t1")))
		l := log.only(t, msgRefused)
		require.Equal(t, "WARN", l.level())
		require.Equal(t, "send_receipt", l.task()["name"])
		require.Equal(t, "rejected", l.task()["outcome"])
		require.Equal(t, "t1", l["thread_id"])
		require.Equal(t, core.ErrClosed.Error(), l["error"])
	})
}

// A flood of refusals must not become a flood of lines. The number is told within a second.
func TestRefusalsAreLoggedOnceASecondWithTheNumberSuppressed(t *testing.T) {
	full := func(log *logbook) *core.Manager {
		m := core.New(log.option(), core.WithLimit(1, 0))
		m.Go(context.Background(), "first", obey)
		return m
	}
	inBubble(t, "a flood", func(t *testing.T) {
		var log logbook
		m := full(&log)
		for range 1_000 {
			m.Go(t.Context(), "x", succeed)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.NotContains(t, log.only(t, msgRefused), "suppressed")
		l := log.only(t, msgSuppressed)
		require.Equal(t, "WARN", l.level())
		require.EqualValues(t, 999, l["suppressed"])
		require.NoError(t, m.Close())
	})
	inBubble(t, "over five seconds", func(t *testing.T) {
		var log logbook
		m := full(&log)
		for range 50 {
			m.Go(t.Context(), "x", succeed)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		told := len(log.with(t, msgRefused))
		for _, l := range log.lines(t) {
			if n, ok := l["suppressed"].(float64); ok {
				told += int(n)
			}
		}
		require.Equal(t, 50, told)
		require.LessOrEqual(t, len(log.with(t, msgRefused))+len(log.with(t, msgSuppressed)), 7)
		require.NoError(t, m.Close())
	})
	inBubble(t, "by the time that Close returns", func(t *testing.T) {
		var log logbook
		m := full(&log)
		for range 10 {
			m.Go(t.Context(), "x", succeed)
		}
		require.NoError(t, m.Close())
		require.EqualValues(t, 9, log.only(t, msgSuppressed)["suppressed"])
	})
	inBubble(t, "after that, with the next line", func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		require.NoError(t, m.Close())
		for range 10 {
			m.Go(t.Context(), "x", succeed)
		}
		time.Sleep(time.Hour)
		require.Empty(t, log.with(t, msgSuppressed), "nothing runs any more")
		m.Go(t.Context(), "x", succeed)
		require.EqualValues(t, 9, log.with(t, msgRefused)[1]["suppressed"])
	})
}

// The second counts from the refusal, not from the call of Go, which may have waited for room before.
func TestRefusalsAfterAWaitAreLoggedOnceASecondToo(t *testing.T) {
	inBubble(t, "two within a second", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, 0), core.WithBlocking())
		m.Go(t.Context(), "first", ignore(time.Minute))
		go m.Go(seconds(t, 10*time.Second), "early", succeed)
		time.Sleep(5 * time.Second)
		m.Go(seconds(t, 5*time.Second+time.Millisecond), "late", succeed)
		require.EqualValues(t, 2, m.Stats().Rejected)
		require.Len(t, log.with(t, msgRefused), 1)
		require.NoError(t, m.Wait(t.Context()))
	})
	inBubble(t, "one a minute", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, 0), core.WithBlocking())
		m.Go(t.Context(), "first", ignore(2*time.Minute))
		over, cancel := context.WithCancel(t.Context())
		cancel()
		go m.Go(seconds(t, time.Minute), "waits", succeed)
		time.Sleep(time.Millisecond)
		m.Go(over, "does_not_wait", succeed)
		require.Len(t, log.with(t, msgRefused), 1)
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, log.with(t, msgRefused), 2)
	})
}

func TestBlockingGoWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1), core.WithBlocking())
		begin := time.Now()
		for i := range 6 {
			task := m.Go(t.Context(), "x", ignore(time.Second))
			require.Equal(t, core.Pending, task.Outcome())
			require.Equal(t, time.Duration(max(0, i-1))*time.Second, time.Since(begin))
			require.True(t, time.Now().Equal(task.CreatedAt()), "it is as old as its acceptance")
		}
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 6, Completed: 6}, counts(m))
	})
}

func TestBlockingGoGivesUpWithItsContext(t *testing.T) {
	errAborted := errors.New("client went away")
	over, cancel := context.WithCancelCause(context.Background())
	cancel(errAborted)
	for name, tc := range map[string]struct {
		ctx   func(*testing.T) context.Context
		after time.Duration
		err   error
	}{
		"at its deadline":           {func(t *testing.T) context.Context { return seconds(t, time.Second) }, time.Second, context.DeadlineExceeded},
		"when it is cancelled":      {func(t *testing.T) context.Context { return cancelledIn(t, time.Second) }, time.Second, context.Canceled},
		"at once where it is over":  {func(*testing.T) context.Context { return over }, 0, context.Canceled},
		"where it is a derived one": {func(t *testing.T) context.Context { return context.WithValue(seconds(t, 2), key("k"), 1) }, 2, context.DeadlineExceeded},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 0), core.WithBlocking())
			first := m.Go(t.Context(), "first", ignore(time.Minute))
			begin := time.Now()
			task := m.Go(tc.ctx(t), "x", succeed)
			require.Equal(t, tc.after, time.Since(begin))
			require.Equal(t, core.Rejected, task.Outcome())
			require.ErrorIs(t, task.Err(), core.ErrFull)
			require.ErrorIs(t, task.Err(), tc.err)
			require.Equal(t, core.Stats{Created: 2, Running: 1, Rejected: 1}, counts(m))

			// It left no place in the line behind.
			assertOutcome(t, core.Completed, first)
			require.Zero(t, m.Stats().Running)
			assertOutcome(t, core.Completed, m.Go(over, "room", succeed))
		})
	}
}

func cancelledIn(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(d, cancel)
	return ctx
}

func TestBlockedCallersAreServedInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1), core.WithBlocking())
		var order journal
		note := func(name string) core.Func {
			return func(context.Context) error { order.add(name); time.Sleep(time.Second); return nil }
		}
		m.Go(t.Context(), "running", note("running"))
		m.Go(t.Context(), "queued", note("queued"))
		want := []string{"running", "queued"}
		for i := range 8 {
			name := fmt.Sprint("caller ", i)
			ctx := t.Context()
			if i%3 == 0 {
				ctx = cancelledIn(t, time.Millisecond) // some give up
			} else {
				want = append(want, name)
			}
			go m.Go(ctx, name, note(name))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		require.Equal(t, want, order.all())
	})
}

func TestShutdownWakesBlockedCallers(t *testing.T) {
	for name, stop := range map[string]func(*core.Manager){
		"Shutdown": func(m *core.Manager) { _, _ = m.Shutdown(context.Background()) },
		"Close":    func(m *core.Manager) { _ = m.Close() },
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 0), core.WithBlocking())
			m.Go(t.Context(), "first", during(time.Second))
			for range 5 {
				go func() {
					begin := time.Now()
					task := m.Go(t.Context(), "x", succeed)
					assert.Equal(t, core.ErrClosed, task.Err())
					assert.Equal(t, time.Duration(0), time.Since(begin), "at once")
				}()
			}
			synctest.Wait()
			stop(m)
			synctest.Wait()
			require.EqualValues(t, 5, m.Stats().Rejected)
		})
	}
}

// It could wait for the room that its caller holds.
func TestNestedGoNeverWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1), core.WithBlocking())
		other := newManager()
		var kept context.Context
		outer := m.Go(t.Context(), "outer", func(ctx context.Context) error {
			kept = ctx
			begin := time.Now()
			assert.Equal(t, core.Pending, m.Go(ctx, "nested", ignore(time.Second)).Outcome(), "where there is room it is accepted")
			child, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			for _, ctx := range []context.Context{ctx, child, context.WithoutCancel(ctx)} {
				nested := m.Go(ctx, "nested", succeed)
				assert.Equal(t, core.Rejected, nested.Outcome())
				assert.Equal(t, core.ErrFull, nested.Err())
			}
			assert.Equal(t, begin, time.Now())
			assert.Equal(t, core.Pending, other.Go(ctx, "elsewhere", ignore(time.Second)).Outcome())
			return nil
		})
		require.NoError(t, outer.Wait(t.Context()))
		m.Go(t.Context(), "queued", ignore(time.Second))
		require.Equal(t, core.Stats{Created: 6, Completed: 1, Running: 1, Queued: 1, Rejected: 3}, counts(m))

		// Nor with the context of a task that has ended.
		begin := time.Now()
		require.Equal(t, core.ErrFull, m.Go(kept, "follow_up", succeed).Err())
		require.Equal(t, core.ErrFull, m.Go(context.WithoutCancel(kept), "follow_up", succeed).Err())
		require.Equal(t, begin, time.Now())
		require.NoError(t, m.Wait(t.Context()))
		require.NoError(t, other.Wait(t.Context()))
	})
}

// The room may be held by a caller further up: a task of this manager that waits for one of another.
func TestNestedGoByWayOfAnotherManagerNeverWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, other := newManager(core.WithLimit(1, 0), core.WithBlocking()), newManager()
		begin := time.Now()
		outer := m.Go(t.Context(), "outer", func(ctx context.Context) error {
			return other.Go(ctx, "between", func(ctx context.Context) error {
				return m.Go(ctx, "nested", succeed).Err()
			}).Wait(ctx)
		})
		require.Equal(t, core.ErrFull, outer.Wait(t.Context()))
		require.Equal(t, begin, time.Now())
	})
}

func TestNestedGoOnAManagerOfAnotherTaskMayWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		full := newManager(core.WithLimit(1, 0), core.WithBlocking())
		full.Go(t.Context(), "first", ignore(time.Second))
		begin := time.Now()
		outer := newManager().Go(t.Context(), "outer", func(ctx context.Context) error {
			return full.Go(ctx, "nested", fail).Wait(ctx)
		})
		require.Equal(t, errTask, outer.Wait(t.Context()))
		require.Equal(t, time.Second, time.Since(begin))
	})
}

// The tasks that a task came from count, too: also those that have ended.
func TestNestedGoNeverWaitsHoweverDeep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newManager(core.WithLimit(1, 0), core.WithBlocking())
		b := newManager(core.WithLimit(1, 0), core.WithBlocking())
		var inner *core.Task
		a.Go(t.Context(), "of a", func(ctx context.Context) error {
			b.Go(ctx, "of b", func(ctx context.Context) error {
				time.Sleep(time.Second) // the first has ended
				a.Go(context.Background(), "holds the slot", ignore(time.Hour))
				inner = a.Go(ctx, "of a again", succeed)
				return nil
			})
			return nil
		})
		synctest.Wait()
		require.NoError(t, b.Wait(t.Context()))
		require.Equal(t, core.ErrFull, inner.Err())
		require.NoError(t, a.Wait(t.Context()))
	})
}
