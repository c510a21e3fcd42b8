package core

import (
	"context"
	"log/slog"
	"slices"
)

// WithAttrs adds attributes to the task. They are in its log lines and its [TaskInfo], and
// middlewares can read them: for example the id of a conversation. Of two attributes with the same
// key the later one stands. The order is [ContextWithAttrs], the manager's defaults, the task's own
// options.
//
// A [slog.LogValuer] is resolved by each reader, so a secret that redacts itself stays hidden, also
// in a group. One inside a struct, a map or a slice is not asked, as in slog's own handlers. Go
// copies the slice of attributes, but maps, slices and pointers in it are shared: do not change
// them after Go, as long as the Task is in use. A map that is written while a log line reads it
// ends the process.
func WithAttrs(attrs ...slog.Attr) TaskOption {
	return func(o *taskOptions) { o.attrs = append(o.attrs, attrs...) }
}

type attrsKey struct{}

// ContextWithAttrs returns a copy of ctx that carries attrs for every task that is started with it,
// or with a context derived from it. They come after the attributes that ctx carries already. See
// [WithAttrs].
func ContextWithAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	if ctx == nil {
		panic("afterspan: ContextWithAttrs: ctx is nil")
	}
	before := attrsFrom(ctx)
	return context.WithValue(ctx, attrsKey{}, append(slices.Clip(before), attrs...))
}

func attrsFrom(ctx context.Context) (attrs []slog.Attr) {
	defer contain() // user code
	attrs, _ = ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}

// lastOfEachKey drops every attribute that a later one with the same key replaces. Groups without a
// name are kept: slog inlines them.
func lastOfEachKey(attrs []slog.Attr) []slog.Attr {
	if !hasDuplicates(attrs) {
		return attrs
	}
	last := make(map[string]int, len(attrs))
	for i, a := range attrs {
		last[a.Key] = i
	}
	kept := make([]slog.Attr, 0, len(last))
	for i, a := range attrs {
		if a.Key == "" || last[a.Key] == i {
			kept = append(kept, a)
		}
	}
	return kept
}

// hasDuplicates reports whether two of attrs may have the same key. It does not compare more than a
// few, because each is compared with all others.
func hasDuplicates(attrs []slog.Attr) bool {
	const few = 16
	if len(attrs) > few {
		return true
	}
	for i, a := range attrs {
		if a.Key != "" && slices.ContainsFunc(attrs[i+1:], func(b slog.Attr) bool { return a.Key == b.Key }) {
			return true
		}
	}
	return false
}
