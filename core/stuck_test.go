package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A parent that waits for a child which is queued behind it hangs until its timeout. The log says so.
func TestATaskThatWaitsForATaskBehindItIsLogged(t *testing.T) {
	s := &core.Keyed{}
	for name, tc := range map[string]struct {
		opts []core.Option
		task []core.TaskOption
		want int // lines
	}{
		"in a full manager":      {[]core.Option{core.WithLimit(1, 10)}, nil, 1},
		"in a busy key":          {nil, []core.TaskOption{core.WithKey(s, "k")}, 1},
		"where there is room":    {[]core.Option{core.WithLimit(2, 10)}, nil, 0},
		"in a manager no limits": {nil, nil, 0},
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(append(tc.opts, log.option())...)
			parent := m.Go(t.Context(), "parent", func(ctx context.Context) error {
				child := m.Go(ctx, "child", succeed, tc.task...)
				for range 3 {
					_ = child.Wait(ctx)
				}
				return ctx.Err()
			}, append(tc.task, core.WithTimeout(time.Minute))...)
			requireEnds(t, parent)
			require.NoError(t, m.Wait(t.Context()))
			lines := log.with(t, msgStuck)
			require.Len(t, lines, tc.want)
			if tc.want > 0 {
				require.Equal(t, core.TimedOut, parent.Outcome())
				require.Equal(t, "WARN", lines[0].level())
				require.Equal(t, "parent", lines[0].task()["name"])
				require.Equal(t, "child", lines[0].task()["waits_for"].(map[string]any)["name"])
			}
		})
	}
}

func TestEachTaskThatWaitsForATaskBehindItIsLogged(t *testing.T) {
	inBubble(t, "two parents at once", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(2, 10))
		for range 2 {
			m.Go(t.Context(), "parent", func(ctx context.Context) error {
				time.Sleep(time.Second)
				return m.Go(ctx, "child", succeed).Wait(ctx)
			}, core.WithTimeout(time.Minute))
		}
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, log.with(t, msgStuck), 2)
	})
	inBubble(t, "behind a key whose tasks need the slot", func(t *testing.T) {
		var log logbook
		s := &core.Keyed{}
		m := core.New(log.option(), core.WithLimit(1, 10))
		m.Go(t.Context(), "parent", func(ctx context.Context) error {
			m.Go(ctx, "first", succeed, core.WithKey(s, "k"))
			return m.Go(ctx, "second", succeed, core.WithKey(s, "k")).Wait(ctx)
		}, core.WithTimeout(time.Minute))
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, log.with(t, msgStuck), 1)
	})
	inBubble(t, "behind a key that another task holds", func(t *testing.T) {
		var log logbook
		s := &core.Keyed{}
		m := core.New(log.option(), core.WithLimit(2, 10))
		m.Go(t.Context(), "holder", ignore(time.Second), core.WithKey(s, "k"))
		m.Go(t.Context(), "parent", func(ctx context.Context) error {
			return m.Go(ctx, "child", succeed, core.WithKey(s, "k")).Wait(ctx)
		})
		require.NoError(t, m.Wait(t.Context()))
		require.Empty(t, log.with(t, msgStuck), "it ends by itself")
	})
}
