package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/afterspan/afterspan/core"
)

// publicHandler serves customers. otelhttp makes a span of each request, which the tasks link to.
func (s *service) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.takeOrder)
	return otelhttp.NewHandler(mux, "orders",
		otelhttp.WithTracerProvider(s.tel.traces),
		otelhttp.WithMeterProvider(s.tel.metrics),
		otelhttp.WithPropagators(s.tel.propagator),
		otelhttp.WithServerName("orders")) // not what the client says: each Host header would be a time series
}

// opsHandler serves those who run the service. It is not traced: a span for each scrape says nothing.
func (s *service) opsHandler() http.Handler {
	mux := http.NewServeMux()
	// OpenMetrics is what exemplars need, which lead from a bar of a histogram to a task's trace.
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.tel.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("/debug/tasks/", s.page.Handler(s.tasks))
	return mux
}

// An order is what a customer sends. With Trouble it brings along what goes wrong with it: see tasks.go.
type order struct {
	ID      string  `json:"id"`
	Email   string  `json:"email"`
	Trouble trouble `json:"trouble"`
}

// receipt is the answer to an order: what was started for it.
type receipt struct {
	OrderID string        `json:"order_id"`
	Tasks   []startedTask `json:"tasks"`
}

type startedTask struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"` // rejected, where the limit was reached
}

// takeOrder starts the tasks of an order, and answers. It waits for none of them, but it looks whether the receipt was accepted.
func (s *service) takeOrder(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil || o.ID == "" || len(o.ID) > maxID {
		s.log.WarnContext(ctx, "bad order", "error", err)
		http.Error(w, `want an order: {"id": "…"}, with an id of 64 bytes at most`, http.StatusBadRequest)
		return
	}
	tasks := s.startTasks(ctx, o)
	answer := receipt{OrderID: o.ID}
	for _, task := range tasks {
		info := task.Info()
		answer.Tasks = append(answer.Tasks, startedTask{ID: info.ID, Name: info.Name, State: info.State})
	}
	if err := tasks[0].Err(); errors.Is(err, core.ErrRejected) {
		// The receipt must not be lost, so the customer has to know. The manager does not log each refusal.
		s.log.WarnContext(ctx, "order refused", "order_id", o.ID, "error", err)
		w.Header().Set("Retry-After", "1")
		s.answer(w, http.StatusServiceUnavailable, answer)
		return
	}
	s.log.InfoContext(ctx, "order taken", "order_id", o.ID)
	s.answer(w, http.StatusAccepted, answer)
}

// maxID bounds what a client can have written into each line of the log.
const maxID = 64

// health tells a load balancer to send nothing any more once the service stops.
func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	if s.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (s *service) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone, and the tasks go on
}
