package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"

	"github.com/afterspan/afterspan/examples/internal/pretend"
)

// mail stands for a connection to a mail server: what tasks use, and what has to be closed after them.
type mail struct {
	takes  time.Duration
	logger *slog.Logger
	tracer trace.Tracer
	closed atomic.Bool
}

type mailOut struct {
	fx.Out
	Mail     *mail
	Outlives outlivesIt `group:"outlive_tasks"`
}

func newMail(lc fx.Lifecycle, o options, l *slog.Logger, tp trace.TracerProvider) mailOut {
	m := &mail{takes: o.mail, logger: l, tracer: tp.Tracer("mail")}
	lc.Append(fx.StopHook(func() {
		m.closed.Store(true)
		l.Info("mail closed")
	}))
	return mailOut{Mail: m, Outlives: m}
}

func (m *mail) send(ctx context.Context, to string) error {
	ctx, span := m.tracer.Start(ctx, "smtp")
	defer span.End()
	if err := pretend.Work(ctx, m.takes); err != nil {
		return err
	}
	if m.closed.Load() {
		return errors.New("the mail is closed")
	}
	m.logger.InfoContext(ctx, "receipt sent", "to", to)
	return nil
}
