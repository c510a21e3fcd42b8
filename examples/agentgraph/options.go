package main

import (
	"flag"
	"io"
	"time"
)

// options are the command line.
type options struct {
	question string
	json     bool          // events are lines of JSON, alone on stdout
	think    time.Duration // how long the model, which is made up, thinks
	slow     time.Duration // how long the receiver of notifications takes
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("agentgraph", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.question, "q", "What do notify and Close do?", "the `question`")
	flags.BoolVar(&o.json, "json", false, "print the events as JSON lines, and everything else to stderr")
	flags.DurationVar(&o.think, "think", 20*time.Millisecond, "how long the model, which is made up, thinks")
	flags.DurationVar(&o.slow, "slow", 300*time.Millisecond, "how long the receiver of notifications takes")
	return o, flags.Parse(args)
}
