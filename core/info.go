package core

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"
)

// TaskInfo is what there was to say of a task at one moment.
type TaskInfo struct {
	ID      uint64
	Name    string
	State   string        // "queued", "running", "cancelling" (cancelled or past its timeout, but not ended), or the outcome
	Age     time.Duration // since CreatedAt
	Timeout time.Duration // 0: none
	Attrs   []slog.Attr   // as [Task.Attrs]
	Done    bool
}

// Info returns what there is to say of the task now.
func (t *Task) Info() TaskInfo {
	if sh := t.shard; sh != nil {
		sh.mu.Lock()
		defer sh.mu.Unlock()
	}
	return t.infoLocked()
}

func (t *Task) infoLocked() TaskInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return TaskInfo{
		ID:      t.id,
		Name:    t.name,
		State:   t.stateLocked(),
		Age:     time.Since(t.created),
		Timeout: t.options.timeout,
		Attrs:   slices.Clone(t.options.attrs),
		Done:    t.outcome != Pending,
	}
}

// stateLocked needs t.mu as well as the lock of t's shard.
func (t *Task) stateLocked() string {
	switch {
	case t.outcome != Pending:
		return t.outcome.String()
	case t.more().cancelled != 0, t.started && t.context().expired():
		return "cancelling"
	case t.place == queued:
		return "queued"
	case t.place == holdsSlot:
		return "running"
	default: // of NewTask
		return t.outcome.String()
	}
}

// MarshalJSON returns an object with id, name, state, age_seconds, timeout (in seconds, null for
// none), context (an object of the attributes) and done.
func (i TaskInfo) MarshalJSON() ([]byte, error) {
	var timeout *float64
	if i.Timeout > 0 {
		seconds := i.Timeout.Seconds()
		timeout = &seconds
	}
	return json.Marshal(struct {
		ID         uint64          `json:"id"`
		Name       string          `json:"name"`
		State      string          `json:"state"`
		AgeSeconds float64         `json:"age_seconds"`
		Timeout    *float64        `json:"timeout"`
		Context    json.RawMessage `json:"context"`
		Done       bool            `json:"done"`
	}{i.ID, i.Name, i.State, i.Age.Seconds(), timeout, attrsJSON(i.Attrs), i.Done})
}

// attrsJSON returns attributes as a JSON object. It is slog's own handler that resolves, groups and
// marshals them: whatever an attribute holds, it gives valid JSON and does not panic.
func attrsJSON(attrs []slog.Attr) json.RawMessage {
	var line bytes.Buffer
	record := slog.NewRecord(time.Time{}, 0, "", 0)
	record.AddAttrs(attrs...)
	h := slog.NewJSONHandler(&line, &slog.HandlerOptions{ReplaceAttr: durationsInWords}).WithGroup("context")
	if err := h.Handle(context.Background(), record); err != nil {
		return json.RawMessage("{}")
	}
	var out struct{ Context json.RawMessage }
	if err := json.Unmarshal(line.Bytes(), &out); err != nil || out.Context == nil {
		return json.RawMessage("{}")
	}
	return out.Context
}

func durationsInWords(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
