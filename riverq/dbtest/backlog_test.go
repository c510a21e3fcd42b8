package dbtest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// A numbered job.
type numbered struct {
	N int `json:"n"`
}

func (numbered) Kind() string { return "numbered" }

// handOverMany hands over so many tasks through a fake client. It returns what the shutdown said, and how
// often each was inserted.
func handOverMany(
	t *testing.T, tasks int, client func(ctx context.Context, jobs []river.InsertManyParams) error,
) (stats core.ShutdownStats, times map[int]int) {
	times = map[int]int{}
	inserts := inserterFunc(func(ctx context.Context, jobs []river.InsertManyParams) error {
		err := client(ctx, jobs)
		if err == nil {
			for _, job := range jobs {
				times[job.Args.(numbered).N]++
			}
		}
		return err
	})
	m := core.New(core.WithLogger(quiet), core.WithLimit(10, -1), core.WithMiddleware(riverq.Handover(inserts)))
	for n := range tasks {
		riverq.Go(t.Context(), m, numbered{n}, func(ctx context.Context, _ numbered) error { <-ctx.Done(); return ctx.Err() })
	}
	stats, _ = shutdownNow(m)
	for _, n := range times {
		require.Equal(t, 1, n, "no job is inserted twice")
	}
	return stats, times
}

// wait is how long an insert takes.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The batches grow, so that a slow database takes a large backlog in time.
func TestHandoverToASlowDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		stats, _ := handOverMany(t, 10_000, func(ctx context.Context, _ []river.InsertManyParams) error {
			return wait(ctx, 200*time.Millisecond)
		})
		assert.Equal(t, 10_000, stats.HandedOver)
		assert.LessOrEqual(t, time.Since(began), 4*time.Second)
	})
}

// They do not grow beyond the time that is left. Here a job takes 3 ms, and the timeout is 4 s.
func TestHandoverToADatabaseThatIsSlowForEachJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats, _ := handOverMany(t, 10_000, func(ctx context.Context, jobs []river.InsertManyParams) error {
			return wait(ctx, time.Duration(len(jobs))*3*time.Millisecond)
		})
		assert.Greater(t, stats.HandedOver, 1000, "of about 1,300 for which there is time")
	})
}

// Of many jobs, the few that cannot be inserted are found in time.
func TestHandoverOfManyBadOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := func(n int) bool { return n%200 == 7 }
		stats, times := handOverMany(t, 10_000, func(ctx context.Context, jobs []river.InsertManyParams) error {
			if err := wait(ctx, 5*time.Millisecond); err != nil {
				return err
			}
			for _, job := range jobs {
				if bad(job.Args.(numbered).N) {
					return errMail
				}
			}
			return nil
		})
		assert.Equal(t, 9_950, stats.HandedOver)
		assert.Equal(t, 50, stats.CancelledTasks-stats.HandedOver)
		for n := range times {
			assert.False(t, bad(n))
		}
	})
}

// A database that fails for a moment costs few tasks.
func TestHandoverAfterAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		stats, _ := handOverMany(t, 10_000, func(ctx context.Context, _ []river.InsertManyParams) error {
			if calls++; calls > 20 && calls < 30 {
				return errors.New("too many connections")
			}
			return wait(ctx, time.Millisecond)
		})
		assert.Greater(t, stats.HandedOver, 9_990)
	})
}

// If nothing can be inserted, each task is tried by itself, and is lost.
func TestHandoverOfNothingButBadOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		stats, _ := handOverMany(t, 1_000, func(context.Context, []river.InsertManyParams) error { calls++; return errMail })
		assert.Zero(t, stats.HandedOver)
		assert.Equal(t, 1_000, stats.CancelledTasks)
		assert.Less(t, calls, 1_500)
	})
}

// An insert whose answer was lost may have been committed. It is not repeated.
func TestHandoverAfterALostAnswer(t *testing.T) {
	for _, lost := range []error{
		&net.OpError{Op: "read", Err: syscall.ECONNRESET}, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn,
		context.Canceled, context.DeadlineExceeded,
	} {
		t.Run(fmt.Sprintf("%T %v", lost, lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, tried := 0, map[int]int{}
				stats, _ := handOverMany(t, 1000, func(ctx context.Context, jobs []river.InsertManyParams) error {
					for _, job := range jobs {
						tried[job.Args.(numbered).N]++
					}
					if calls++; calls == 3 {
						return fmt.Errorf("commit: %w", lost)
					}
					return wait(ctx, time.Millisecond)
				})
				assert.Less(t, stats.HandedOver, 1000, "they count as lost")
				assert.Len(t, tried, 1000)
				for n, times := range tried {
					assert.Equal(t, 1, times, "job %d", n)
				}
			})
		})
	}
}
