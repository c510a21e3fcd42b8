package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		m := core.New(core.WithLogger(slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))), core.WithLimit(3, -1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a := m.Go(ctx, "ok", func(ctx context.Context) error { return ctx.Err() }, core.WithAttrs(slog.String("thread_id", "t1")))
		b := m.Go(ctx, "panics", func(ctx context.Context) error { panic("no") })
		c := m.Go(ctx, "goexit", func(ctx context.Context) error { runtime.Goexit(); return nil })
		d := m.Go(ctx, "timeout", func(ctx context.Context) error {
			<-ctx.Done()
			require.Equal(t, core.ErrTimeout, context.Cause(ctx))
			return ctx.Err()
		}, core.WithTimeout(time.Second))
		e := m.Go(ctx, "forever", func(ctx context.Context) error { time.Sleep(time.Minute); return errors.New("x") })
		synctest.Wait()
		out, _ := json.Marshal(m.Tasks())
		t.Log(string(out))
		time.Sleep(2 * time.Second)
		require.Equal(t, core.Completed, a.Outcome())
		require.Equal(t, core.Failed, b.Outcome())
		require.Equal(t, core.ErrGoexit, c.Err())
		require.Equal(t, core.TimedOut, d.Outcome())
		require.Equal(t, core.Pending, e.Outcome())
		e.Cancel()
		time.Sleep(10 * time.Second)
		stats, err := m.Shutdown(t.Context())
		t.Log(err)
		require.Error(t, err)
		out, _ = json.Marshal(stats)
		t.Log(string(out))
		time.Sleep(time.Minute)
		stats, err = m.Shutdown(t.Context())
		require.NoError(t, err)
		out, _ = json.Marshal(stats)
		t.Log(string(out))
		t.Log(buf.String())
	})
}
