package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
)

// partner stands for another company's server, and has the client that talks to it. It continues the trace of a notification,
// so what it does is in the trace of the task.
type partner struct {
	url    string
	client *http.Client
	server *http.Server
}

func startPartner(tel *telemetry) (*partner, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notifications", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if o.Trouble == silent {
			<-r.Context().Done() // until the client has had enough
		}
		w.WriteHeader(http.StatusNoContent)
	})
	// Its metrics are its own, and not of this service.
	options := []otelhttp.Option{
		otelhttp.WithTracerProvider(tel.traces), otelhttp.WithPropagators(tel.propagator),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()),
	}
	p := &partner{
		url:    "http://" + l.Addr().String() + "/notifications",
		client: &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport, options...)},
		server: newServer(otelhttp.NewHandler(mux, "partner", options...), 500*time.Millisecond),
	}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

func (p *partner) shutdown(ctx context.Context) error { return p.server.Shutdown(ctx) }
