package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

func main() {
	tasks := core.New(core.WithMiddleware(otelmw.New()))
	receipt := tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return errors.New("mailbox full") })
	event := publisher.Go(context.Background(), tasks, publisher.Slog(nil), publisher.Event{Kind: publisher.KindNodeExecution, Type: publisher.TypeStart})
	_ = tasks.Wait(context.Background())
	fmt.Println(receipt, receipt.Outcome(), event, event.Outcome())
}
