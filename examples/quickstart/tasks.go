package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// A shop takes orders. It keeps them, and what its tasks make of them, in a folder.
type shop struct {
	tasks     *core.Manager
	customers core.Keyed // the tasks of one customer run in order
	tracer    trace.Tracer
	folder    string
	mail      net.Listener // a mail server that is down in the worst way: it takes connections and never answers
}

type order struct {
	ID       string   `json:"id"`
	Customer string   `json:"customer"`
	Items    []string `json:"items"`
}

func openShop(tasks *core.Manager, tracer trace.Tracer) (*shop, error) {
	folder, err := os.MkdirTemp("", "afterspan-quickstart-")
	if err != nil {
		return nil, err
	}
	mail, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &shop{tasks: tasks, tracer: tracer, folder: folder, mail: mail}, nil
}

func (s *shop) close() error {
	return errors.Join(s.mail.Close(), os.RemoveAll(s.folder))
}

// ServeHTTP stores the order, starts the tasks and answers.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, span := s.tracer.Start(r.Context(), r.Method+" /orders", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	var o order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || o.ID == "" {
		http.Error(w, "an order is {\"id\": …, \"customer\": …, \"items\": […]}", http.StatusBadRequest)
		return
	}
	if err := s.store(ctx, o); err != nil {
		http.Error(w, "the order could not be stored", http.StatusInternalServerError)
		return
	}
	s.startTasks(ctx, o)
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, "order %s, %d tasks are running", o.ID, s.tasks.Stats().Running)
}

// startTasks starts what the customer need not wait for. The handles may be dropped: what becomes
// of a task is traced, logged and counted.
func (s *shop) startTasks(ctx context.Context, o order) {
	ctx = core.ContextWithAttrs(ctx, slog.String("order_id", o.ID)) // on the span and in the log of each task
	s.tasks.Go(ctx, "write_invoice", func(ctx context.Context) error { return s.writeInvoice(ctx, o) })
	s.tasks.Go(ctx, "update_account", func(ctx context.Context) error { return s.updateAccount(ctx, o) },
		core.WithKey(&s.customers, o.Customer))
	s.tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return s.sendReceipt(ctx, o) },
		core.WithTimeout(150*time.Millisecond))
	s.tasks.Go(ctx, "award_points", func(context.Context) error { return awardPoints(o) })
}

func (s *shop) store(ctx context.Context, o order) error {
	_, span := s.tracer.Start(ctx, "store order")
	defer span.End()
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(s.file("order", o.ID), text, 0o600)
}

// file returns the name of a file of the shop. An id is not trusted with a path.
func (s *shop) file(kind, id string) string {
	return filepath.Join(s.folder, kind+"-"+filepath.Base(id)+".txt")
}

// writeInvoice has a span of its own inside the task's.
func (s *shop) writeInvoice(ctx context.Context, o order) error {
	_, span := s.tracer.Start(ctx, "render invoice")
	defer span.End()
	text := fmt.Sprintf("Invoice %s for %s\n%s\n", o.ID, o.Customer, strings.Join(o.Items, "\n"))
	return os.WriteFile(s.file("invoice", o.ID), []byte(text), 0o600)
}

// updateAccount adds the order to the customer's account. WithKey keeps two orders from doing so at
// once.
func (s *shop) updateAccount(_ context.Context, o order) error {
	file, err := os.OpenFile(s.file("account", o.Customer), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s: %d items\n", o.ID, len(o.Items))
	return errors.Join(err, file.Close())
}

// sendReceipt passes its context on, and so the task's timeout ends the call.
func (s *shop) sendReceipt(ctx context.Context, o order) error {
	url := "http://" + s.mail.Addr().String() + "/send"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(o.ID))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// awardPoints has a bug on purpose: the last item has no next one. After a plain go statement the
// panic would have ended the program.
func awardPoints(o order) error {
	for i := range o.Items {
		if o.Items[i] == o.Items[i+1] {
			return errors.New("the same item twice")
		}
	}
	return nil
}
