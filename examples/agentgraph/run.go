package main

import (
	"context"
	"log/slog"

	"github.com/afterspan/afterspan/core"
)

// runIDs say which run a context belongs to.
type runIDs struct{ thread, run string }

type (
	runKey  struct{}
	nodeKey struct{}
)

// withRun also makes the ids attributes of every task that is started with the context.
func withRun(ctx context.Context, ids runIDs) context.Context {
	ctx = core.ContextWithAttrs(ctx, slog.String("thread_id", ids.thread), slog.String("run_id", ids.run))
	return context.WithValue(ctx, runKey{}, ids)
}

// withNode does the same for the name of a node.
func withNode(ctx context.Context, name string) context.Context {
	ctx = core.ContextWithAttrs(ctx, slog.String("node_name", name))
	return context.WithValue(ctx, nodeKey{}, name)
}

// whereabouts returns the run and the node that ctx belongs to. They are empty where there is none.
func whereabouts(ctx context.Context) (ids runIDs, node string) {
	ids, _ = ctx.Value(runKey{}).(runIDs)
	node, _ = ctx.Value(nodeKey{}).(string)
	return ids, node
}
