package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/afterspan/afterspan/publisher"
)

// options are the command line of both processes.
type options struct {
	redis, nats string // where the broker is
	stream      string // its own for each run
	think       time.Duration
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("publish", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.redis, "redis", "", "`address` of a Redis to go through")
	flags.StringVar(&o.nats, "nats", "", "`URL` of a NATS with JetStream to go through (default one that is embedded)")
	flags.StringVar(&o.stream, "stream", "agent-events-"+uuid.NewString()[:8], "`name` of the stream")
	flags.DurationVar(&o.think, "think", 200*time.Millisecond, "how long the agent's model, which is made up, thinks")
	return o, flags.Parse(args)
}

// args is the command line of the subscriber.
func (o options) args() []string {
	return []string{"subscribe", "-redis", o.redis, "-nats", o.nats, "-stream", o.stream}
}

// broker is the way between the two processes.
type broker struct {
	publisher publisher.Publisher
	// receive calls handle for each event from the beginning of the stream, until that returns false.
	receive func(ctx context.Context, handle func(publisher.Event) (more bool)) error
	closers []func() error
}

func openBroker(ctx context.Context, o options) (*broker, error) {
	b := &broker{}
	open := b.openNATS
	if o.redis != "" {
		open = b.openRedis
	}
	if err := open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the broker: %w", err), b.close())
	}
	return b, nil
}

// close closes what was opened, the last first.
func (b *broker) close() error {
	var errs []error
	for _, closer := range slices.Backward(b.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

func (b *broker) atClose(f func() error) { b.closers = append(b.closers, f) }

// tempDir returns a folder that is removed at the end.
func (b *broker) tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "afterspan-publish-")
	b.atClose(func() error { return os.RemoveAll(dir) })
	return dir, err
}
