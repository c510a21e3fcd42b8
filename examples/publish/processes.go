package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// run is both processes: the second has the argument "subscribe".
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "subscribe" {
		return follow(ctx, args[1:], stdout, stderr)
	}
	return lead(ctx, args, stdout, stderr)
}

// lead is the first process: the agent, the broker if that is embedded, and the start of the second process.
func lead(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
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

	subscriber, err := startSubscriber(ctx, o, stdout, stderr)
	if err != nil {
		return err
	}
	tasks, err := runAgent(ctx, b.publisher, o.think)
	if err != nil {
		return errors.Join(err, subscriber.Process.Kill(), subscriber.Wait())
	}
	err = subscriber.Wait() // it ends when it has seen the agent's last event
	printTasks(stdout, tasks)
	return err
}

// startSubscriber starts this program again.
func startSubscriber(ctx context.Context, o options, stdout, stderr io.Writer) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, o.args()...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, cmd.Start()
}

// follow is the second process.
func follow(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b, err := openBroker(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return subscribe(ctx, b, stdout)
}
