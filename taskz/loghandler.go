package taskz

import (
	"context"
	"log/slog"
	"strings"

	"github.com/afterspan/afterspan/core"
)

// LogHandler returns a handler that passes records on to next, and remembers the last 16 lines of
// each task: those logged with the context of the task (slog.InfoContext, not slog.Info), at the
// levels that next is enabled for. The page shows them with the task. The manager's own lines about
// a task are not remembered, because the page shows what they say. It panics if next is nil.
//
// It keeps 256 bytes of each line, and the lines of at most 2,000 unfinished tasks.
func (p *Page) LogHandler(next slog.Handler) slog.Handler {
	if next == nil {
		panic("taskz: LogHandler: next is nil")
	}
	p.lines.used.Store(true)
	return &logHandler{page: p, next: next}
}

type logHandler struct {
	page   *Page
	next   slog.Handler
	prefix string // of the open groups
	attrs  string // of WithAttrs, as they stand in a line
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if t, ok := core.TaskFromContext(ctx); ok && !isManagers(r) {
		h.page.lines.add(t, line{r.Time, r.Level, h.text(r)})
	}
	return h.next.Handle(ctx, r)
}

// text returns the message with its attributes, cut.
func (h *logHandler) text(r slog.Record) string {
	var c collector
	r.Attrs(func(a slog.Attr) bool {
		c.add(h.prefix, a)
		return len(c.text) < maxLine
	})
	var b strings.Builder
	b.WriteString(cut(r.Message, maxLine))
	b.WriteString(h.attrs)
	writePairs(&b, c.pairs())
	return strings.Clone(cut(b.String(), maxLine))
}

func writePairs(b *strings.Builder, all pairs) {
	for _, p := range all {
		b.WriteString(" " + p.key + "=" + p.value)
	}
}

// isManagers reports whether a manager logged r about a task.
func isManagers(r slog.Record) (yes bool) {
	if !strings.HasPrefix(r.Message, "background task ") {
		return false
	}
	r.Attrs(func(a slog.Attr) bool {
		yes = a.Key == "task" && a.Value.Kind() == slog.KindGroup
		return false
	})
	return yes
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var c collector
	for _, a := range attrs {
		c.add(h.prefix, a)
	}
	var b strings.Builder
	b.WriteString(h.attrs)
	writePairs(&b, c.pairs())
	return &logHandler{h.page, h.next.WithAttrs(attrs), h.prefix, cut(b.String(), maxLine)}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &logHandler{h.page, h.next.WithGroup(name), h.prefix + name + ".", h.attrs}
}
