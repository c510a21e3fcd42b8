package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Attributes come from the context, from the manager's defaults and from the task.

func TestAttributesOfTheContextAreOfEveryTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		ctx := core.ContextWithAttrs(t.Context(), slog.String("tenant", "acme"))
		other := core.ContextWithAttrs(ctx, slog.String("thread_id", "t2"))
		ctx = core.ContextWithAttrs(ctx, slog.String("thread_id", "t1"))
		var nested *core.Task
		task := m.Go(ctx, "x", func(ctx context.Context) error {
			nested = m.Go(ctx, "nested", succeed, core.WithAttrs(slog.Int("n", 1)))
			return nil
		})
		requireEnds(t, task)
		requireEnds(t, nested)
		tenant, thread := slog.String("tenant", "acme"), slog.String("thread_id", "t1")
		require.Equal(t, []slog.Attr{tenant, thread}, task.Attrs())
		require.Equal(t, []slog.Attr{tenant, thread, slog.Int("n", 1)}, nested.Attrs())
		require.Equal(t, []slog.Attr{tenant, slog.String("thread_id", "t2")}, m.Go(other, "y", succeed).Attrs(),
			"contexts that branch do not share attributes")
		require.NoError(t, m.Close())
		require.Equal(t, []slog.Attr{tenant, thread}, m.Go(ctx, "refused", succeed).Attrs())
	})
}

func TestTheLaterOfTwoAttributesWithOneKeyStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithTaskDefaults(core.WithAttrs(slog.Int("a", 2), slog.Int("b", 2))))
		ctx := core.ContextWithAttrs(t.Context(), slog.Int("a", 1), slog.Int("c", 1))
		task := m.Go(ctx, "x", fail, core.WithAttrs(slog.Int("b", 3), slog.Int("d", 3), slog.Int("d", 4)))
		requireEnds(t, task)
		require.Equal(t, []slog.Attr{slog.Int("c", 1), slog.Int("a", 2), slog.Int("b", 3), slog.Int("d", 4)}, task.Attrs())
		out, err := task.Info().MarshalJSON()
		require.NoError(t, err)
		require.Contains(t, string(out), `"context":{"c":1,"a":2,"b":3,"d":4}`)
		l := log.only(t, msgFailed)
		require.EqualValues(t, []any{1.0, 2.0, 3.0, 4.0}, []any{l["c"], l["a"], l["b"], l["d"]})
	})
}

// However many there are, the last of each key stands, in the order of the last ones.
func TestLastOfManyAttributes(t *testing.T) {
	var attrs []slog.Attr
	for i := range 100 {
		attrs = append(attrs, slog.Int(fmt.Sprint("key", i%40), i), slog.Group("", slog.Int(fmt.Sprint("in", i), i)))
	}
	got := core.NewTask("x", core.WithAttrs(attrs...)).Attrs()
	require.Len(t, got, 40+100)
	require.Equal(t, slog.Int("key0", 80), got[slices.IndexFunc(got, func(a slog.Attr) bool { return a.Key == "key0" })])
	require.Equal(t, slog.Int("key39", 79), got[slices.IndexFunc(got, func(a slog.Attr) bool { return a.Key == "key39" })])
}
