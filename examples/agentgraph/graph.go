package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cloudwego/eino/compose"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

var (
	errNoManager = errors.New("no manager of background tasks in the context: put one there with core.NewContext")
	errClosed    = errors.New("the graph is closed")
)

// config is what the graph is made of, besides the manager.
type config struct {
	sources       fs.FS // what the agent answers from
	publisher     publisher.Publisher
	notifyURL     string
	notifyTimeout time.Duration
	client        *http.Client
	think         time.Duration
	tracer        trace.Tracer
	meter         metric.Meter
}

// compiled is a graph that is ready to run, with the manager of its background tasks.
type compiled struct {
	tasks  *core.Manager
	agent  *agent
	graph  compose.Runnable[string, answer]
	closed atomic.Bool
}

// compile makes a graph. Its background tasks are those of the manager in ctx, which Close then shuts down.
func compile(ctx context.Context, c config) (*compiled, error) {
	tasks, ok := core.FromContext(ctx)
	if !ok {
		return nil, errNoManager
	}
	a, err := newAgent(c, tasks)
	if err != nil {
		return nil, err
	}
	graph, err := a.graph(ctx)
	if err != nil {
		return nil, fmt.Errorf("compiling the graph: %w", err)
	}
	return &compiled{tasks: tasks, agent: a, graph: graph}, nil
}

// Invoke runs the graph once. It returns when the answer is there, whatever the background tasks still do. Runs may go
// on side by side, also those of one thread.
func (c *compiled) Invoke(ctx context.Context, thread, question string) (answer, error) {
	if c.closed.Load() {
		return answer{}, errClosed
	}
	ctx = core.NewContext(ctx, c.tasks) // for the nodes: whatever ctx the caller has, they find this one
	ctx = withRun(ctx, runIDs{thread: thread, run: uuid.NewString()})
	return c.graph.Invoke(ctx, question, compose.WithCallbacks(c.agent.callbacks()))
}

// closeStats is what Close returns, as JSON an object like that of Agentflow's aclose.
type closeStats struct {
	BackgroundTasks core.ShutdownStats `json:"background_tasks"` // what the shutdown still found, and what became of it
	AllTasks        core.Stats         `json:"all_tasks"`        // since the manager was made
	TotalDuration   float64            `json:"total_duration_seconds"`
}

// Close lets the background tasks finish, cancels those that do not finish in time, and says what became of them. It
// calls [core.Manager.Shutdown] and returns its error: a [*core.ShutdownError] that names the tasks that were cancelled or did
// not stop. Let the runs end first: the tasks of a run that goes on are refused. A second Close changes nothing: its
// status is already_shutdown, and its figures are those of the first.
func (c *compiled) Close(ctx context.Context) (closeStats, error) {
	c.closed.Store(true)
	began := time.Now()
	stats, err := c.tasks.Shutdown(ctx)
	return closeStats{
		BackgroundTasks: stats, AllTasks: c.tasks.Stats(), TotalDuration: time.Since(began).Seconds(),
	}, err
}
