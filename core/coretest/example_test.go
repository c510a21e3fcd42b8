package coretest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

// A Shop is the code under test.
type Shop struct{ tasks *core.Manager }

func (s *Shop) PlaceOrder(ctx context.Context, id string) {
	s.tasks.Go(ctx, "send_receipt", func(context.Context) error {
		if id == "" {
			return errors.New("the order has no id")
		}
		return nil
	}, core.WithAttrs(slog.String("order", id)))
}

// exampleT prints the failures of a test. Tests pass their *testing.T.
type exampleT struct {
	testing.TB
	cleanup func()
}

func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf("FAIL: "+format+"\n", args...) }
func (t *exampleT) Cleanup(f func())                  { t.cleanup = f }
func (t *exampleT) Output() io.Writer                 { return io.Discard }

// A task that fails makes the test fail.
func ExampleNew() {
	t := &exampleT{} // the *testing.T of the test
	tasks := coretest.New(t)

	shop := &Shop{tasks}
	shop.PlaceOrder(context.Background(), "")

	_ = tasks.Wait(context.Background())
	t.cleanup() // what package testing does at the end of a test
	// Output:
	// FAIL: task send_receipt#1 {"order":""} failed: the order has no id
}

// This test expects the failure.
func ExampleAllowFailures() {
	t := &exampleT{}
	tasks := coretest.New(t, coretest.AllowFailures())
	task := tasks.Go(context.Background(), "send_receipt", func(context.Context) error {
		return errors.New("smtp: mailbox full")
	})
	fmt.Println(task.Wait(context.Background()))
	t.cleanup()
	// Output:
	// smtp: mailbox full
}

// The test asks which tasks the code has started, and how they ended.
func ExampleRecorder() {
	t := &exampleT{}
	var rec coretest.Recorder
	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()))

	shop := &Shop{tasks}
	shop.PlaceOrder(context.Background(), "o-1")
	shop.PlaceOrder(context.Background(), "o-2")

	_ = tasks.Wait(context.Background())
	for _, task := range rec.Tasks("send_receipt", slog.String("order", "o-2")) {
		fmt.Println(task, task.Outcome())
	}
	t.cleanup()
	// Output:
	// send_receipt#2 completed
}
