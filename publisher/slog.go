package publisher

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Slog returns a publisher that logs each event, at INFO, or at ERROR if IsError is set: the message is the kind and the type, and
// the attributes have the names of the event's JSON, with event_id for its id; what is empty is left out. A nil logger is
// [slog.Default] at the time of each event. It returns the error of the log's handler, and nil for an event that is below the
// handler's level, which goes nowhere.
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
		handler := logger.Handler() // a Logger drops the error
		if !handler.Enabled(ctx, level) {
			return nil
		}
		attrs, err := attrsOf(event.complete())
		if err != nil {
			return err
		}
		record := slog.NewRecord(time.Now(), level, string(event.Kind)+" "+string(event.Type), 0)
		record.AddAttrs(attrs...)
		return handler.Handle(ctx, record)
	})
}

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

// jsonText is JSON that nobody can change any more. It logs as JSON; in a log of text too, as package slog quotes bytes.
type jsonText json.RawMessage

func (j jsonText) MarshalJSON() ([]byte, error) { return j, nil }
