package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/afterspan/afterspan/examples/internal/pretend"
)

// A notification is what the webhook gets.
type notification struct {
	ThreadID string `json:"thread_id"`
	RunID    string `json:"run_id"`
	NodeName string `json:"node_name"`
	Answer   string `json:"answer"`
}

func (a *agent) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.notifyURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("notifying: %s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// receiver is who gets the notifications: a web server of this process, and a slow one.
type receiver struct {
	url    string
	slow   time.Duration
	server *http.Server
	served chan error

	mu  sync.Mutex
	got []notification
}

func startReceiver(slow time.Duration) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String(), slow: slow, served: make(chan error, 1)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { r.served <- r.server.Serve(l) }()
	return r, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var n notification
	if err := json.NewDecoder(request.Body).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if pretend.Work(request.Context(), r.slow) != nil { // the other side has given up
		return
	}
	r.mu.Lock()
	r.got = append(r.got, n)
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// received returns what has come so far.
func (r *receiver) received() []notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) close() error {
	err := r.server.Close()
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
