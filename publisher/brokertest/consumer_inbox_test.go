package brokertest

import (
	"context"
	"database/sql"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

// This is the code of the consumer example of package publisher.

// An eventInbox does the work of each event once, although a broker may deliver the event several times.
// It remembers the IDs in a table:
//
//	CREATE TABLE handled_events (id TEXT PRIMARY KEY, handled_at TIMESTAMP NOT NULL)
type eventInbox struct {
	db     *sql.DB
	tracer trace.Tracer
	work   func(ctx context.Context, tx *sql.Tx, event publisher.Event) error
}

// handle works on an event, in a span that links to the span which published it. The ID is stored in
// the transaction of the work: either both are done or neither is. Return nil to the broker's client,
// and acknowledge, only after handle has returned nil.
func (i eventInbox) handle(ctx context.Context, event publisher.Event) error {
	ctx, span := i.tracer.Start(ctx, "handle "+string(event.Kind), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.Link{SpanContext: event.SpanContext()}))
	defer span.End()

	tx, err := i.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	inserted, err := tx.ExecContext(ctx,
		"INSERT INTO handled_events (id, handled_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", event.ID, time.Now().UTC())
	if err != nil {
		return err
	}
	if rows, err := inserted.RowsAffected(); err != nil || rows == 0 {
		return err // nil for a duplicate: its work is done
	}
	if err := i.work(ctx, tx, event); err != nil {
		return err
	}
	return tx.Commit()
}

// forget keeps the table small. Call it every hour or so. A duplicate that arrives later than age
// after the first is worked on again, so age must be longer than the broker keeps events.
func (i eventInbox) forget(ctx context.Context, age time.Duration) error {
	_, err := i.db.ExecContext(ctx, "DELETE FROM handled_events WHERE handled_at < $1", time.Now().UTC().Add(-age))
	return err
}
