// Service is an HTTP service that answers an order at once, and leaves to background tasks what the customer need
// not wait for. It has all that a traced service has: spans and logs go out by OTLP, metrics are there for Prometheus, every
// log line of a task has the task's trace id, and SIGTERM ends it without losing work. From the root of the repository:
//
//	go run ./examples/service
//
// README.md says what to try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are what the command line sets. Where telemetry goes is in the environment, as OpenTelemetry has it.
type options struct {
	addr, opsAddr   string
	running, queued int
	work            time.Duration
	notifyTimeout   time.Duration
	archiveTimeout  time.Duration
	sample          float64
	cancel          bool
	traceURL        string
	stop            stopTimes
}

// stopTimes are how long each part may take to stop. Each has its own, so that one that uses up its time takes none of the others'.
// Together they have to stay below what the platform waits until it kills: 30 s in Kubernetes.
type stopTimes struct{ server, tasks, ops, telemetry time.Duration }

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "where customers are served")
	flags.StringVar(&o.opsAddr, "ops-addr", "127.0.0.1:9464", "where /metrics, /healthz and /debug/tasks/ are")
	flags.BoolVar(&o.cancel, "cancel", false, "let readers of /debug/tasks/ cancel tasks")
	flags.StringVar(&o.traceURL, "trace-url", "http://localhost:16686/trace/{trace_id}", "where /debug/tasks/ links to for a trace")
	flags.IntVar(&o.running, "running", 16, "how many tasks run at a time")
	flags.IntVar(&o.queued, "queued", 64, "how many more may wait")
	flags.DurationVar(&o.work, "work", 200*time.Millisecond, "how long a task works, which is made up")
	flags.DurationVar(&o.notifyTimeout, "notify-timeout", 500*time.Millisecond, "how long a notification may take")
	flags.DurationVar(&o.archiveTimeout, "archive-timeout", 0, "how long the archiving of an order may take, 0: any time")
	flags.Float64Var(&o.sample, "sample", 1, "the share of traces that is recorded")
	flags.DurationVar(&o.stop.server, "stop-server", 5*time.Second, "how long the requests have to end")
	flags.DurationVar(&o.stop.tasks, "stop-tasks", 15*time.Second, "how long the tasks have to end")
	flags.DurationVar(&o.stop.ops, "stop-ops", time.Second, "how long a scrape has to end")
	flags.DurationVar(&o.stop.telemetry, "stop-telemetry", 5*time.Second, "how long the last spans and logs have to leave")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

// run is main with everything that a test replaces.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	tel, err := newTelemetry(ctx, o.sample, stdout)
	if err != nil {
		return fmt.Errorf("setting up the telemetry: %w", err)
	}
	tel.setGlobals()
	s, err := newService(o, tel)
	if err != nil {
		return errors.Join(err, within(o.stop.telemetry, tel.shutdown))
	}
	return s.serve(ctx)
}
