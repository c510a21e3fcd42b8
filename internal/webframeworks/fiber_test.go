package webframeworks

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// fibers start a server of each version, whose handler has the context to recommend.
var fibers = map[string]func(s *service, immutable bool, handler func(context.Context, fiberContext)) sender{
	"v2": func(s *service, immutable bool, handler func(context.Context, fiberContext)) sender {
		return s.fiber2(func(c *fiber.Ctx) error {
			handler(c.UserContext(), c)
			return nil
		}, fiber.Config{Immutable: immutable})
	},
	"v3": func(s *service, immutable bool, handler func(context.Context, fiberContext)) sender {
		return s.fiber3(func(c fiber3.Ctx) error {
			handler(c.Context(), c)
			return nil
		}, fiber3.Config{Immutable: immutable})
	},
}

// Attributes are not copied: the line about the end of a task has the order of another request.
func TestFiberAttributes(t *testing.T) {
	for version, start := range fibers {
		t.Run(version, func(t *testing.T) {
			assertHappens(t, ofAnother, func() *service {
				s := newService(t)
				s.serve(t, start(s, false, func(ctx context.Context, c fiberContext) {
					s.tasks.Go(ctx, "send_receipt", func(context.Context) error { return nil }, core.WithAttrs(
						slog.String("order_id", c.Params("id")), slog.String("own", strings.Clone(c.Params("id")))))
				}))
				s.noteLog(t)
				return s
			})
		})
	}
}

// noteLog notes the order_id in the last line about each order's task.
func (s *service) noteLog(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var attrs struct {
			OrderID string `json:"order_id"`
			Own     string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &attrs))
		s.seen[attrs.Own] = sighting{value: attrs.OrderID}
	}
}

// An event has its own strings, although those that it was made of are the request's.
func TestFiberEvents(t *testing.T) {
	for version, start := range fibers {
		for _, ordered := range []bool{false, true} {
			t.Run(version+map[bool]string{true: " ordered"}[ordered], func(t *testing.T) {
				s := newService(t)
				publish := s.publish(ordered)
				s.serve(t, start(s, false, func(ctx context.Context, c fiberContext) {
					publish(ctx, publisher.Event{
						Kind: publisher.KindRealtime, Type: publisher.TypeStart,
						ThreadID: c.Params("id"), Content: c.Get("X-Order"), UserID: strings.Clone(c.Params("id")),
						Data: map[string]any{"order": c.Query("order")},
					})
				}))
				s.assertOwnValues(t)
			})
		}
	}
}

// publish returns a function that publishes an event in a task, which notes the event under its user.
func (s *service) publish(ordered bool) func(context.Context, publisher.Event) {
	note := publisher.Func(func(ctx context.Context, event publisher.Event) error {
		value := event.ThreadID
		if event.Content != value || event.Data["order"] != value {
			value = ""
		}
		s.note(ctx, event.UserID, value)
		return nil
	})
	if ordered {
		queue := publisher.NewOrdered(s.tasks, note)
		return func(ctx context.Context, event publisher.Event) { queue.Go(ctx, event) }
	}
	return func(ctx context.Context, event publisher.Event) { publisher.Go(ctx, s.tasks, note, event) }
}

// The recommended context of fiber has no Locals.
func TestFiberLocals(t *testing.T) {
	for version, start := range fibers {
		t.Run(version, func(t *testing.T) {
			s := newService(t)
			s.serve(t, start(s, false, func(ctx context.Context, c fiberContext) {
				s.spawn(ctx, strings.Clone(c.Params("id")), local)
			}))
			assert.True(t, gone(s))
		})
	}
}

// The contexts that have the Locals do not have the span of the request.
func TestFiberContextsWithoutSpan(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *service) sender{
		"v2: c.Context()":    fiber2Context,
		"v3: c":              fiber3Ctx,
		"v3: c.RequestCtx()": fiber3RequestCtx,
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.serve(t, start(t, s))
			s.assertNotLinked(t)
		})
	}
}
