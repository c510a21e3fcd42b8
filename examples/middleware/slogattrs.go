package middleware

import (
	"context"
	"log/slog"
	"slices"

	"github.com/afterspan/afterspan/core"
)

// SlogAttrs puts what a task is, its name, id and attributes, into the context, for a [ContextHandler] to add to every line
// that is logged with it: by the task, and by all that it calls.
//
// In the chain: as far out as you like. The lines of what is further in have the attributes. It does nothing on
// the way back, so panics, Goexit and cancels are none of its business. A task that starts another hands its context on, and
// the other one replaces what it finds.
//
// The manager's own lines say all that already. Give it a logger without the ContextHandler, or they say it twice.
func SlogAttrs() core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			attrs := slices.Insert(t.Attrs(), 0, slog.Group("task", "name", t.Name(), "id", t.ID()))
			return next(context.WithValue(ctx, attrsKey{}, attrs), t)
		}
	})
}

type attrsKey struct{}

// ContextHandler adds what [SlogAttrs] has put into a line's context. A logger that has opened a group with WithGroup gets it
// inside that group, as slog has no way out of one.
type ContextHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h ContextHandler) Handle(ctx context.Context, r slog.Record) error {
	if attrs, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r = r.Clone() // others may have the same record
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler: the promoted method would return a handler without the context.
func (h ContextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ContextHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h ContextHandler) WithGroup(name string) slog.Handler {
	return ContextHandler{h.Handler.WithGroup(name)}
}
