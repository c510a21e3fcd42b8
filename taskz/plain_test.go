package taskz_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// The text for a terminal.

func TestText(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, taskz.WithTitle("orders"), core.WithLimit(1, 0))
		s.run("send", func(context.Context) error { return fmt.Errorf("line\nline\x1b[31m") }, order("o-1\u202e"))
		s.start("index", during(time.Minute), order("o-2"), core.WithTimeout(90*time.Second))
		s.start("index", succeed)
		time.Sleep(1500 * time.Millisecond)
		text := s.get("").Body.String()
		for _, want := range []string{"orders ", "running 1", "failed 1", "index", "1.5s", "1m30s", "order_id=o-2", "rejected: 1", "line line\uFFFD[31m", "order_id=o-1\uFFFD"} {
			require.Contains(t, text, want)
		}
		require.NotContains(t, text, "\x1b")
		text = s.get("1").Body.String()
		for _, want := range []string{"send", "failed", "line line", "order_id"} {
			require.Contains(t, text, want)
		}
		require.Contains(t, s.get("?q=nothing").Body.String(), "running and queued: 1, 0 match")
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// Lines end where their text does, and what does not stop is named first.
func TestTextIsNarrow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		for range 2 {
			s.run("send", func(context.Context) error { return errors.New(strings.Repeat("long ", 100)) }, order("o-1"))
			s.run("send", fail)
			s.start("deaf", during(time.Hour), core.WithTimeout(time.Second))
			s.start("deaf too", during(time.Hour), order("o-2"))
		}
		synctest.Wait()
		text := s.get("").Body.String()
		require.NotContains(t, text, "not stop")
		require.NotRegexp(t, `(?m) $`, text)
		require.Regexp(t, `(?m)^ID .* ERROR +ATTRIBUTES$`, text)
		for line := range strings.Lines(text) {
			require.Less(t, len(line), 250)
		}
		require.Contains(t, s.get("3").Body.String(), "\nwhere it is: curl -X POST …/stack?id=3\n")
		require.NotContains(t, s.get("1").Body.String(), "curl")
		time.Sleep(10 * time.Second)
		require.Contains(t, s.get("").Body.String(), "\n2 do not stop: ?state=overdue\n")
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}
