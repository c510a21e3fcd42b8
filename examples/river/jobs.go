package main

import (
	"context"
	"time"

	"github.com/afterspan/afterspan/examples/internal/pretend"
)

// ReceiptArgs say all that sendReceipt needs to know, in any process.
type ReceiptArgs struct {
	OrderID string `json:"order_id"`
}

// Kind implements river.JobArgs.
func (ReceiptArgs) Kind() string { return "send_receipt" }

// sendReceipt is called by a worker. In a service it would send a mail.
func sendReceipt(ctx context.Context, _ ReceiptArgs) error { return pretend.Work(ctx, time.Second) }

// CacheArgs say all that warmCache needs to know.
type CacheArgs struct {
	OrderID string `json:"order_id"`
}

// Kind implements river.JobArgs.
func (CacheArgs) Kind() string { return "warm_cache" }

// warmCache is called by a task of the API or, if that has to stop, by a worker.
func warmCache(ctx context.Context, _ CacheArgs) error { return pretend.Work(ctx, 2*time.Second) }
