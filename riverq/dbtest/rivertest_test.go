package dbtest

import (
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/riverq"
)

// River's helpers for tests run the plugin, too.
func TestRivertest(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		postgres, ok := db.(*postgresDatabase)
		if !ok {
			t.Skip("one database will do")
		}
		tel := newTelemetry(t)
		config := newConfig(riverq.New(riverq.WithMiddleware(tel.middleware())))
		config.Schema, config.Workers, config.Queues = postgres.schema, nil, nil
		worker := rivertest.NewWorker(t, postgres.driver(), config, river.WorkFunc(succeed))
		tx, err := postgres.pool.Begin(t.Context())
		require.NoError(t, err)
		defer tx.Rollback(t.Context()) //nolint:errcheck // nothing is to be kept
		result, err := worker.Work(tel.request(t), t, tx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		assert.Equal(t, river.EventKindJobCompleted, result.EventKind)
		assertLinked(t, tel.span(t, "send_mail"), tel.span(t, "spawn send_mail").SpanContext())
	})
}
