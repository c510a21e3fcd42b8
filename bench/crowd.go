package main

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"github.com/afterspan/afterspan/core"
)

// A crowd is many tasks in flight, of one way to run them.
type crowd struct {
	start  func(fn work)
	list   func() int // how many it lists; nil: it has no list
	cancel func()     // cancels all, and waits until they have ended
	wait   func()     // waits until all have ended
}

// A crowdKind makes crowds of a kind.
type crowdKind struct {
	name string
	open func() crowd
}

// crowdKinds are what has many tasks in flight. The first is the floor.
func crowdKinds() []crowdKind {
	return []crowdKind{{nameGo, bareCrowd}, {nameHand, handCrowd}, {nameOurs, ourCrowd}}
}

func bareCrowd() crowd {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	return crowd{
		start: func(fn work) {
			wg.Add(1)
			go func() { //nolint:modernize // as bareGo
				defer wg.Done()
				_ = fn(ctx)
			}()
		},
		cancel: func() { cancel(); wg.Wait() },
		wait:   wg.Wait,
	}
}

func handCrowd() crowd {
	r := newRegistry(quiet)
	return crowd{
		start:  func(fn work) { must(r.Go(context.Background(), taskName, 0, fn)) },
		list:   func() int { return len(r.list()) },
		cancel: r.shutdown,
		wait:   r.wg.Wait,
	}
}

func ourCrowd() crowd {
	m := core.New(core.WithLogger(quiet))
	return crowd{
		start:  func(fn work) { m.Go(context.Background(), taskName, fn) },
		list:   func() int { return len(m.Tasks()) },
		cancel: func() { must(m.Close()) },
		wait:   func() { must(m.Wait(context.Background())) },
	}
}

// quiet is a logger like that of a service, Debug lines off, that writes to nowhere.
var quiet = slog.New(slog.NewJSONHandler(io.Discard, nil))
