package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// An event tells others how the agent gets on.
type event struct {
	Sequence int       `json:"sequence"` // background tasks may overtake each other
	Time     time.Time `json:"time"`
	Thread   string    `json:"thread_id"`
	Type     string    `json:"type"` // start, progress or result
	Text     string    `json:"text"`
}

// An eventLog is a stream of events as JSON lines. It stands for a message broker.
type eventLog struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newEventLog(w io.Writer) *eventLog { return &eventLog{out: json.NewEncoder(w)} }

// publish writes one event. Its error is for the task that calls it to return: a failed publish is a failed task.
func (l *eventLog) publish(e event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Encode(e)
}
