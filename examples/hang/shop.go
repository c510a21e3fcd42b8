package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core"
)

// A shop makes up orders, and starts the tasks of each.
type shop struct {
	tasks *core.Manager
	stock stock
}

// A stock has a lock, which somebody forgot to unlock.
type stock struct {
	mu   sync.Mutex
	free int
}

// open starts n tasks that take long, one that hangs among them, and then short ones until ctx is
// done.
func (s *shop) open(ctx context.Context, n int) {
	s.stock.mu.Lock()
	hanging := n / 3
	for i := range n {
		order := slog.String("order_id", fmt.Sprintf("o-%d", 10_000+i))
		customer := slog.String("customer", fmt.Sprintf("c-%d", rand.IntN(900)))
		if i == hanging {
			s.start("reserve_stock", order, customer, s.reserve, 2*time.Second)
		}
		s.start("watch_delivery", order, customer, watchDelivery, time.Hour)
	}
	everyday := time.NewTicker(100 * time.Millisecond)
	defer everyday.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-everyday.C:
			order := slog.String("order_id", fmt.Sprintf("o-%d", 30_000+i))
			customer := slog.String("customer", fmt.Sprintf("c-%d", rand.IntN(900)))
			s.start("send_receipt", order, customer, sendReceipt, 2*time.Second)
			s.start("notify_partner", order, customer, notifyPartner, 800*time.Millisecond)
			s.start("award_points", order, customer, awardPoints, time.Second)
		}
	}
}

func (s *shop) start(name string, order, customer slog.Attr, fn core.Func, timeout time.Duration) {
	s.tasks.Go(context.Background(), name, fn, core.WithAttrs(order, customer), core.WithTimeout(timeout))
}

// reserve waits for a lock, and does not look at its context meanwhile.
func (s *shop) reserve(ctx context.Context) error {
	slog.InfoContext(ctx, "reserving", "warehouse", "north")
	s.stock.mu.Lock()
	defer s.stock.mu.Unlock()
	s.stock.free--
	return nil
}

// watchDelivery waits for a parcel that is long on its way.
func watchDelivery(ctx context.Context) error { return sleep(ctx, 45*time.Minute) }

func sendReceipt(ctx context.Context) error {
	slog.InfoContext(ctx, "sending the receipt", "host", "mail.example")
	if err := sleep(ctx, spread(120*time.Millisecond)); err != nil {
		return err
	}
	if rand.IntN(40) == 0 {
		slog.WarnContext(ctx, "the mail server said no", "code", 550)
		return errors.New("smtp: 550 mailbox unavailable")
	}
	return nil
}

func notifyPartner(ctx context.Context) error {
	return sleep(ctx, spread(220*time.Millisecond))
}

func awardPoints(ctx context.Context) error {
	if rand.IntN(150) == 0 {
		members := map[string][]int{}
		members["nobody"][0]++
	}
	return sleep(ctx, spread(20*time.Millisecond))
}

// spread returns a time around d, now and then a much longer one.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + rand.ExpFloat64()))
}

// sleep stands for work. It ends when ctx does.
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
