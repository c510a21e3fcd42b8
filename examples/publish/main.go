// Publish is an agent whose progress is followed from another process. The agent publishes its events in the background,
// through NATS or Redis; a subscriber, which is a process of its own, prints them, in spans that link back to the
// task that published each. From the root of the repository:
//
//	go run ./examples/publish                          # NATS, embedded: no server needed
//	go run ./examples/publish -redis 127.0.0.1:6379    # through a Redis that is there
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "subscribe" {
		return follow(ctx, args[1:], out)
	}
	return publishRun(ctx, args, out)
}

// publishRun is the first process: the agent, the broker if that is embedded, and the start of the second process.
func publishRun(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.redis == "" && o.nats == "" {
		var embedded broker
		defer func() { err = errors.Join(err, embedded.close()) }()
		if o.nats, err = embedded.embedNATS(); err != nil {
			return fmt.Errorf("starting the embedded NATS: %w", err)
		}
	}
	b, err := openBroker(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	subscriber, err := startSubscriber(ctx, o, out)
	if err != nil {
		return err
	}
	published, err := runAgent(ctx, b.publisher, o.think)
	if err != nil {
		return errors.Join(err, subscriber.Process.Kill(), subscriber.Wait())
	}
	err = subscriber.Wait() // it ends when it has seen the agent's last event
	printTasks(out, published)
	return err
}

// startSubscriber starts this program again.
func startSubscriber(ctx context.Context, o options, out io.Writer) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, o.args()...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd, cmd.Start()
}

// follow is the second process.
func follow(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := openBroker(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return subscribe(ctx, b, out)
}
