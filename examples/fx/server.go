package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"

	"github.com/afterspan/afterspan/core"
)

// orders answers at once, and sends the receipt in the background.
type orders struct {
	tasks  *core.Manager
	mail   *mail
	tracer trace.Tracer
}

func newOrders(tasks *core.Manager, m *mail, tp trace.TracerProvider) *orders {
	return &orders{tasks: tasks, mail: m, tracer: tp.Tracer("orders")}
}

// ServeHTTP implements http.Handler.
func (o *orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, span := o.tracer.Start(r.Context(), "POST /orders")
	defer span.End()
	to := r.FormValue("to") // the request is gone when the task runs
	o.tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return o.mail.send(ctx, to) },
		core.WithAttrs(slog.String("to", to)))
	w.WriteHeader(http.StatusAccepted)
}

// server depends on the handler, which depends on the manager: so it is made after, and stopped before it.
type server struct {
	http.Server
	addr     string
	logger   *slog.Logger
	shutdown fx.Shutdowner
}

func newServer(lc fx.Lifecycle, sd fx.Shutdowner, o options, l *slog.Logger, orders *orders) *server {
	mux := http.NewServeMux()
	mux.Handle("POST /orders", orders)
	s := &server{
		// Less than the server's time to stop: Shutdown waits up to six seconds for an unused connection.
		Server: http.Server{Handler: mux, ReadHeaderTimeout: 2 * time.Second},
		addr:   o.addr, logger: l, shutdown: sd,
	}
	lc.Append(fx.Hook{OnStart: s.start, OnStop: s.stop})
	return s
}

// start listens before it returns, so that a port that is taken fails the start of the program.
func (s *server) start(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	s.logger.Info("serving", "addr", l.Addr().String())
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.logger.Error("the server failed", "error", err)
			_ = s.shutdown.Shutdown(fx.ExitCode(1)) // an error says that the program is being stopped already
		}
	}()
	return nil
}

// stop lets requests finish. After its share of the time it ends them: the tasks that they started need the rest.
func (s *server) stop(ctx context.Context) error {
	ctx, cancel := share(ctx, 1, 3)
	defer cancel()
	err := s.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	s.logger.Info("server stopped")
	return err
}
