package screen

import (
	"io"
	"log/slog"
)

// newScreenHandler returns a handler that writes text which fits a screen.
func newScreenHandler(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: forScreen})
}

// forScreen leaves out and shortens what is in full in a log for machines.
func forScreen(groups []string, attr slog.Attr) slog.Attr {
	switch {
	case attr.Value.Kind() == slog.KindDuration:
		attr.Value = slog.StringValue(inWords(attr.Value.Duration()))
	case len(groups) > 0:
	case attr.Key == slog.TimeKey:
		return slog.Attr{}
	case attr.Key == "stack":
		attr.Value = slog.StringValue(panicSite(attr.Value.String()))
	case attr.Key == "trace_id", attr.Key == "span_id":
		attr.Value = slog.StringValue(shortID(attr.Value.String()))
	}
	return attr
}
