package publisher_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// A terminal that is stopped, or a pipe that nobody reads, takes a line only after seconds.
func TestASlowSinkDoesNotCarryAShutdownPastItsBound(t *testing.T) {
	slowly := writerFunc(func(line []byte) (int, error) { time.Sleep(5 * time.Second); return len(line), nil })
	handler := handlerFunc(func(context.Context, slog.Record) error { time.Sleep(5 * time.Second); return nil })
	for name, open := range map[string]func() publisher.Publisher{
		"Console": func() publisher.Publisher { return publisher.Console(slowly) },
		"Multi":   func() publisher.Publisher { return publisher.Multi(publisher.Console(slowly)) },
		"Slog":    func() publisher.Publisher { return publisher.Slog(slog.New(handler)) },
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			for way, start := range ways(m, open()) {
				for range 3 {
					start(t.Context(), small(way, ""))
				}
			}
			began := time.Now()
			_, err := m.Shutdown(within(t, 500*time.Millisecond))
			require.Error(t, err)
			assert.LessOrEqual(t, time.Since(began), 500*time.Millisecond)
			time.Sleep(time.Minute) // the sink ends
		})
	}
}
