package main

import (
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/afterspan/afterspan/otelmw"
)

// options are the command line.
type options struct {
	endpoint  string
	ui        string
	relation  otelmw.Relation
	share     float64 // of the traces, 0 to 1
	questions int
	think     time.Duration
}

func parseOptions(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("jaeger", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.endpoint, "endpoint", "",
		"`URL` to export to, by OTLP over HTTP (default $OTEL_EXPORTER_OTLP_ENDPOINT, or "+localJaeger+")")
	flags.StringVar(&o.ui, "ui", "http://localhost:16686", "`URL` of Jaeger's pages, to print links to")
	flags.Func("relation", "of a task to the agent's span: `link or child` (default link)", func(s string) error {
		for _, r := range []otelmw.Relation{otelmw.Link, otelmw.Child} {
			if s == r.String() {
				o.relation = r
				return nil
			}
		}
		return fmt.Errorf("there is no relation %q", s)
	})
	flags.Float64Var(&o.share, "sample", 1, "`share` of the agent's traces to keep, 0 to 1")
	flags.IntVar(&o.questions, "n", 1, "how `often` the agent is asked")
	flags.DurationVar(&o.think, "think", 20*time.Millisecond, "how long the agent's model, which is made up, thinks")
	return o, flags.Parse(args)
}
