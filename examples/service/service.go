package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/taskz"
)

// A service is two servers, the tasks that the one starts, and the telemetry of both.
type service struct {
	options
	tel     *telemetry
	log     *slog.Logger
	tasks   *core.Manager
	page    *taskz.Page
	observe metric.Registration
	partner *partner

	public   *http.Server // what customers see
	ops      *http.Server // metrics and health: stays until the tasks have ended, so that what they do meanwhile is scraped
	failed   chan error   // of either server
	stopping atomic.Bool
}

func newService(o options, tel *telemetry) (_ *service, err error) {
	s := &service{options: o, tel: tel, failed: make(chan error, 2)}
	s.page = newPage(o)
	s.log = slog.New(s.page.LogHandler(tel.logger.Handler())) // so that the page has the last lines of each task
	s.tasks = core.New(
		// The page comes after the span, to know its trace.
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tel.traces), otelmw.WithMeterProvider(tel.metrics)), s.page.Middleware()),
		core.WithLogger(s.log),
		// A bound: when orders come in faster than the tasks get done, it is seen, and does not eat up the memory.
		core.WithLimit(o.running, o.queued),
	)
	if s.observe, err = otelmw.ObserveManager(s.tasks, "orders", otelmw.WithMeterProvider(tel.metrics)); err != nil {
		return nil, err
	}
	if s.partner, err = startPartner(tel); err != nil {
		return nil, err
	}
	s.public = newServer(s.publicHandler(), 2*time.Second)
	s.public.ReadTimeout = 4 * time.Second
	s.ops = newServer(s.opsHandler(), 500*time.Millisecond)
	return s, nil
}

// newServer returns a server that closes connections on which no request comes within headerTimeout. That has to be less
// than the server's time to stop: Shutdown waits up to six seconds for such a connection.
func newServer(h http.Handler, headerTimeout time.Duration) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
}

// newPage returns the page of the tasks, which only reads unless a flag says otherwise.
func newPage(o options) *taskz.Page {
	opts := []taskz.Option{taskz.WithTitle("orders"), taskz.WithTraceID(otelmw.TraceID), taskz.WithTraceURL(o.traceURL)}
	if o.cancel {
		opts = append(opts, taskz.WithCancel())
	}
	return taskz.New(opts...)
}

// serve serves until ctx is done, and then stops.
func (s *service) serve(ctx context.Context) error {
	var err error
	for _, one := range []struct {
		name, addr string
		server     *http.Server
	}{{"public", s.addr, s.public}, {"ops", s.opsAddr, s.ops}} {
		if err = s.listen(one.name, one.addr, one.server); err != nil {
			return errors.Join(err, s.stopAll())
		}
	}
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "why", context.Cause(ctx).Error())
	case err = <-s.failed:
		s.log.Error("stopping: a server failed", "error", err)
	}
	return errors.Join(err, s.stopAll())
}

func (s *service) listen(name, addr string, server *http.Server) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the %s server: %w", name, err)
	}
	s.log.Info("listening", "server", name, "addr", l.Addr().String())
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("the %s server: %w", name, err)
		}
	}()
	return nil
}

// stopAll stops everything, in the order in which one needs the other: requests start tasks, and tasks make spans, logs and metrics.
func (s *service) stopAll() error {
	s.stopping.Store(true)
	return errors.Join(
		s.stopOne("requests", s.stop.server, func(ctx context.Context) error {
			err := s.public.Shutdown(ctx)
			if err != nil {
				err = errors.Join(err, s.public.Close()) // what is left must not start tasks any more
			}
			return err
		}),
		s.stopOne("tasks", s.stop.tasks, func(ctx context.Context) error {
			_, err := s.tasks.Shutdown(ctx) // it logs its figures
			return s.logLost(err)
		}),
		s.stopOne("partner", time.Second, s.partner.shutdown),
		s.stopOne("ops", s.stop.ops, s.ops.Shutdown),
		s.observe.Unregister(),
		s.stopOne("telemetry", s.stop.telemetry, s.tel.shutdown),
	)
}

// logLost logs each task that the shutdown of the tasks cancelled, with its attributes, so that somebody can do its work. The stop
// is in order then. It is not if tasks did not stop: the error is returned.
func (s *service) logLost(err error) error {
	var lost *core.ShutdownError
	if !errors.As(err, &lost) {
		return err
	}
	for _, task := range lost.Cancelled {
		s.log.LogAttrs(context.Background(), slog.LevelError, "task to be done by hand",
			append(task.Attrs, slog.String("name", task.Name))...)
	}
	if len(lost.Remaining) == 0 {
		return nil
	}
	return err
}

// stopOne stops one of the parts, and says so. The line about the telemetry is on stdout alone: it is too late for OTLP.
func (s *service) stopOne(part string, most time.Duration, shutdown func(context.Context) error) error {
	began := time.Now()
	err := within(most, shutdown)
	took := slog.Duration("took", time.Since(began))
	if err != nil {
		s.log.Error("did not stop in order", "part", part, took, "error", err)
		return fmt.Errorf("stopping the %s: %w", part, err)
	}
	s.log.Info("stopped", "part", part, took)
	return nil
}

// within calls shutdown with a context that ends after d.
func within(d time.Duration, shutdown func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return shutdown(ctx)
}
