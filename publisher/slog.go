package publisher

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Slog returns a publisher that logs each event at INFO, or at ERROR if IsError is set. The message
// is the kind and the type. The attributes have the names of the event's JSON fields, except that
// the id is event_id. Empty fields are left out. If l is nil, the logger is [slog.Default] at the
// time of each event. Publish returns the error of the log handler. If the handler hangs, Publish
// returns when its ctx is done, and the event may still be logged later. If the handler's level
// excludes the event, Publish returns nil and the event is lost.
func Slog(l *slog.Logger) Publisher {
	return Func(func(ctx context.Context, event Event) error {
		logger := l
		if logger == nil {
			logger = slog.Default()
		}
		level := slog.LevelInfo
		if event.IsError {
			level = slog.LevelError
		}
		handler := logger.Handler() // called directly, since a Logger drops its error
		if !handler.Enabled(ctx, level) {
			return nil
		}
		event = event.cloneText().complete() // a handler may keep the text
		attrs, err := attrsOf(event)
		if err != nil {
			return err
		}
		record := slog.NewRecord(time.Now(), level, string(event.Kind)+" "+string(event.Type), 0)
		record.AddAttrs(attrs...)
		return Bound(ctx, func() error { return handler.Handle(ctx, record) })
	})
}

// attrsOf returns the fields of the event that are not empty.
func attrsOf(e Event) ([]slog.Attr, error) {
	attrs := []slog.Attr{slog.String("event_id", e.ID), slog.Time("timestamp", e.Timestamp)}
	for _, a := range []slog.Attr{
		slog.String("node_name", e.NodeName), slog.String("thread_id", e.ThreadID),
		slog.String("run_id", e.RunID), slog.String("user_id", e.UserID), slog.String("content", e.Content),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Sequence != 0 {
		attrs = append(attrs, slog.Uint64("sequence", e.Sequence))
	}
	for _, part := range e.parts() {
		raw, err := marshal(part.value)
		if err != nil {
			return nil, e.unserialisable(part.field, err)
		}
		attrs = append(attrs, slog.Any(part.name, jsonText(raw)))
	}
	return attrs, nil
}

// jsonText is a marshalled field, so the log keeps nothing of the event's maps. Package slog's JSON
// handler prints it as JSON, and its text handler as a quoted string.
type jsonText json.RawMessage

func (j jsonText) MarshalJSON() ([]byte, error) { return j, nil }
