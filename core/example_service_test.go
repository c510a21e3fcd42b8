package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core"
)

// A webhook sender. One manager limits the requests under way. The other has a task for
// each delivery. While it waits between attempts it holds a goroutine but no slot of the first, and it is
// counted, cancelled and named like any other task.
//
// An attempt that has waited too long for a slot is refused: its timeout does not cover
// the wait, since a timeout counts from the start of the run, not from the call of Go.
func Example_webhooks() {
	quiet := core.WithLogger(slog.New(slog.DiscardHandler))
	deliveries := core.New(quiet)
	requests := core.New(quiet, core.WithLimit(8, 1000), core.WithMiddleware(startWithin(time.Minute)),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)))
	rate := time.NewTicker(time.Millisecond) // a thousand attempts a second
	defer rate.Stop()

	deliver := func(ctx context.Context, post core.Func) *core.Task {
		return deliveries.Go(ctx, "deliver_webhook", func(ctx context.Context) (err error) {
			for backoff := time.Millisecond; backoff < 8*time.Millisecond; backoff *= 2 {
				select {
				case <-rate.C:
				case <-ctx.Done():
					return ctx.Err()
				}
				attempt := requests.Go(ctx, "post_webhook", post, core.Attached()) // it ends with the delivery
				if err = attempt.Wait(ctx); err == nil {
					return nil
				}
				select {
				case <-time.After(backoff):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return fmt.Errorf("three attempts: %w", err)
		})
	}

	calls := 0
	post := func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("502 Bad Gateway")
		}
		return nil
	}
	fmt.Println(deliver(context.Background(), post).Wait(context.Background()))
	stats := requests.Stats()
	fmt.Println(stats.Failed, "failed,", stats.Completed, "completed")
	// Output:
	// <nil>
	// 2 failed, 1 completed
}

// startWithin refuses tasks that have waited for longer than longest.
func startWithin(longest time.Duration) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			if waited := t.StartedAt().Sub(t.CreatedAt()); waited > longest {
				return fmt.Errorf("%w: it waited for %v", core.ErrRejected, waited)
			}
			return next(ctx, t)
		}
	})
}

// A request is answered with 202 and the address of its status. The service keeps the handles as long as
// it wants to answer: a handle does not keep the request's values. Package taskz serves such addresses
// for all tasks, with the lines that they logged.
func Example_accepted() {
	tasks := core.New()
	var exports sync.Map // of *core.Task by its id; delete them after a while
	mux := http.NewServeMux()
	mux.HandleFunc("POST /exports", func(w http.ResponseWriter, r *http.Request) {
		task := tasks.Go(r.Context(), "export", func(context.Context) error { return nil })
		if task.Outcome() == core.Rejected {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		exports.Store(strconv.FormatUint(task.ID(), 10), task)
		w.Header().Set("Location", fmt.Sprintf("/exports/%d", task.ID()))
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /exports/{id}", func(w http.ResponseWriter, r *http.Request) {
		task, ok := exports.Load(r.PathValue("id"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprint(w, task.(*core.Task).Outcome()) // pending, completed, failed ...
	})

	created := httptest.NewRecorder()
	mux.ServeHTTP(created, httptest.NewRequest(http.MethodPost, "/exports", nil))
	location := created.Header().Get("Location")
	fmt.Println(created.Code, location)
	_ = tasks.Close()
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, location, nil))
	fmt.Println(answer.Body)
	// Output:
	// 202 /exports/1
	// completed
}

// A limit for each tenant, so that no tenant can take all slots: two tasks of a tenant run, and
// three more may wait. The tenant's id is the key, and an attribute of each of its tasks.
func Example_perTenantLimit() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)), core.WithLimit(100, -1))
	tenants := &core.Keyed{Running: 2, PerKey: 5}
	release := make(chan struct{})
	refused := map[string]int{}
	for i := range 12 {
		tenant := []string{"acme", "acme", "umbrella"}[i%3]
		task := tasks.Go(context.Background(), "import", func(context.Context) error { <-release; return nil },
			core.WithKey(tenants, tenant), core.WithAttrs(slog.String("tenant", tenant)))
		if errors.Is(task.Err(), core.ErrFull) {
			refused[tenant]++
		}
	}
	stats := tasks.Stats()
	fmt.Println(stats.Running, "running,", stats.Queued, "queued, refused:", refused)
	close(release)
	_ = tasks.Close()
	// Output: 4 running, 5 queued, refused: map[acme:3]
}

// An audit log of who started which task, and how it ended. The HTTP layer puts the user into the
// context once, and every task that the request starts, directly or through other tasks, has it.
func Example_auditLog() {
	audit := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	line := func(ctx context.Context, t *core.Task) {
		attrs := append(t.Attrs(), slog.String("task", t.String()), slog.String("outcome", t.Outcome().String()))
		audit.LogAttrs(ctx, slog.LevelInfo, "audit", attrs...)
	}
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)), core.WithMiddleware(core.Middleware{
		Spawn:   func(ctx context.Context, t *core.Task) context.Context { line(ctx, t); return ctx },
		Refused: line,
		Ended:   line,
	}))

	request := core.ContextWithAttrs(context.Background(), slog.String("user", "ada"))
	task := tasks.Go(request, "delete_account", func(context.Context) error { return nil })
	_ = task.Wait(context.Background())
	_ = tasks.Close()
	tasks.Go(request, "delete_account", func(context.Context) error { return nil })
	// Output:
	// msg=audit user=ada task=delete_account#1 outcome=pending
	// msg=audit user=ada task=delete_account#1 outcome=completed
	// msg=audit user=ada task=delete_account#0 outcome=rejected
}
