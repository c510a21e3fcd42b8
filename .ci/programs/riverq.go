package main

import (
	"context"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

type args struct{ Order string }

func (args) Kind() string { return "send_receipt" }

func main() {
	send := func(_ context.Context, a args) error { fmt.Println("receipt of", a.Order); return nil }
	workers := river.NewWorkers()
	river.AddWorker(workers, riverq.WorkFunc(send))
	config := river.Config{Workers: workers, Plugins: []rivertype.Plugin{riverq.New(riverq.WithMiddleware(otelmw.New()))}}
	tasks := core.New()
	fmt.Println(riverq.Go(context.Background(), tasks, args{"o-1"}, send).Wait(context.Background()), len(config.Plugins))
}
