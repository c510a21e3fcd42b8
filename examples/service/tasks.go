package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/afterspan/afterspan/core"
)

// trouble is what goes wrong with an order. It is made up, so that there is something to see.
type trouble string

const (
	slow     trouble = "slow"     // the receipt takes an hour: its timeout or a shutdown ends it
	silent   trouble = "silent"   // the partner does not answer: the notification times out
	declined trouble = "declined" // the bonus programme says no: a task fails
	broken   trouble = "panic"    // a bug: a task panics
	stuck    trouble = "stuck"    // a task that does not look at its context: nothing ends it
)

// startTasks starts what an order needs done, and what the customer need not wait for. The tasks have the values of ctx, such as
// its span, and go on when the request is over and ctx is cancelled. Their errors, panics and refusals are logged, traced and counted.
func (s *service) startTasks(ctx context.Context, o order) []*core.Task {
	attrs := core.WithAttrs(slog.String("order_id", o.ID))
	start := func(name string, fn func(context.Context, order) error, timeout time.Duration) *core.Task {
		return s.tasks.Go(ctx, name, func(ctx context.Context) error { return fn(ctx, o) }, attrs, core.WithTimeout(timeout))
	}
	tasks := []*core.Task{
		start("send_receipt", s.sendReceipt, time.Minute),
		start("warm_cache", s.warmCache, 10*time.Second),
		start("notify", s.notify, s.notifyTimeout),
		start("award_points", s.awardPoints, 10*time.Second),
	}
	if o.Trouble == stuck {
		tasks = append(tasks, start("archive_order", s.archiveOrder, s.archiveTimeout))
	}
	return tasks
}

// sendReceipt passes ctx on to what it waits for, and logs with it: its lines have the task's trace id.
func (s *service) sendReceipt(ctx context.Context, o order) error {
	takes := s.work
	if o.Trouble == slow {
		takes = time.Hour
	}
	s.log.InfoContext(ctx, "sending the receipt", "order_id", o.ID)
	if err := sleep(ctx, takes); err != nil {
		return fmt.Errorf("sending the receipt: %w", err)
	}
	s.log.InfoContext(ctx, "receipt sent", "order_id", o.ID)
	return nil
}

func (s *service) warmCache(ctx context.Context, _ order) error { return sleep(ctx, s.work/4) }

// notify tells the partner. Its request is part of the task's trace, and ends with the task's timeout.
func (s *service) notify(ctx context.Context, o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the notification: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.partner.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := s.partner.client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("notifying: %s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

func (s *service) awardPoints(ctx context.Context, o order) error {
	switch o.Trouble {
	case declined:
		return declinedError{o.ID}
	case broken:
		members := map[string][]int{}
		members[o.Email][0]++ // nobody is a member. The process goes on: the panic is the task's
	}
	return sleep(ctx, s.work/2)
}

// archiveOrder waits for what never comes, without looking at ctx. The manager reports it, with its stack.
func (s *service) archiveOrder(context.Context, order) error {
	<-make(chan struct{})
	return nil
}

// declinedError is an error with a name: error.type in spans and metrics is what ErrorType returns.
type declinedError struct{ orderID string }

func (e declinedError) Error() string     { return "no points for order " + e.orderID }
func (e declinedError) ErrorType() string { return "points_declined" }

// sleep stands for work. Whatever a task waits for, it has to end when ctx does.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
