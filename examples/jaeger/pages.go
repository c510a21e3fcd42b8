package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/otelmw"
)

// ask asks the agent as often as the options say, each time in a conversation of its own, and prints where to look.
func ask(ctx context.Context, o options, a *agent, out io.Writer) error {
	for i := range o.questions {
		thread := fmt.Sprintf("thread-%d", i+1)
		span, err := a.invoke(ctx, thread)
		if err != nil {
			return err
		}
		if span.IsSampled() {
			printPages(out, o, thread, span.TraceID())
		} else {
			fmt.Fprintf(out, "%s is not sampled, nor are its tasks\n", thread)
		}
	}
	return nil
}

// printPages prints which of Jaeger's pages show a conversation: the agent's trace, and all tasks that the agent
// spawned. The second is a search, since no trace store follows a link backwards. Children are in the agent's trace.
func printPages(out io.Writer, o options, thread string, id trace.TraceID) {
	fmt.Fprintf(out, "%s\n  the agent   %s/trace/%s\n", thread, o.ui, id)
	if o.relation == otelmw.Child {
		return
	}
	query := url.Values{
		"service": {serviceName},
		"tags":    {fmt.Sprintf(`{"afterspan.spawner.trace_id":"%s"}`, id)},
	}
	fmt.Fprintf(out, "  its tasks   %s/search?%s\n", o.ui, query.Encode())
}
