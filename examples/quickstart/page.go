package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/taskz"
)

// A livePage is the page of the tasks, at an address. A nil one is none.
type livePage struct {
	*taskz.Page
	listener net.Listener
	server   *http.Server
}

// newPage listens at addr, or returns nil if that is empty.
func newPage(addr string) (*livePage, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the page: %w", err)
	}
	return &livePage{Page: taskz.New(taskz.WithTitle("quickstart"), taskz.WithTraceID(otelmw.TraceID)), listener: l}, nil
}

func (p *livePage) middleware() core.Middleware {
	if p == nil {
		return core.Middleware{}
	}
	return p.Middleware()
}

func (p *livePage) logHandler(next slog.Handler) slog.Handler {
	if p == nil {
		return next
	}
	return p.LogHandler(next)
}

// serve serves the page of these tasks in the background.
func (p *livePage) serve(tasks *core.Manager) {
	if p == nil {
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/tasks/", p.Handler(tasks))
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(p.listener) }() // stay closes it
}

// stay tells where the page is, and serves it until ctx is done.
func (p *livePage) stay(ctx context.Context, out io.Writer) error {
	if p == nil {
		return nil
	}
	_, err := fmt.Fprintf(out, "\nWhat became of the tasks, until Ctrl-C: http://%s/debug/tasks/\n", p.listener.Addr())
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, p.close())
}

func (p *livePage) close() error {
	if p == nil || p.server == nil {
		return nil
	}
	return p.server.Close()
}
