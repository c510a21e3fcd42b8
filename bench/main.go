// Command bench measures afterspan against what people use instead, and prints a table in Markdown.
//
//	go run ./bench               from the root of the repository; takes some minutes
//	go run ./bench -quick        shows that everything runs; its figures mean nothing
//	go run ./bench -only empty   the groups that match: empty, timeout, log, child, otelmw, cancel,
//	                             close, parked, river, million
//	go run ./bench -write        puts the tables into bench/README.md
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

// options are the flags, and what follows from them.
type options struct {
	rounds int
	tasks  int // in a sample
	only   *regexp.Regexp
	quick  bool
	write  bool
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	only := flags.String("only", "", "measure the groups that match this `regexp`")
	flags.BoolVar(&o.quick, "quick", false, "one short round")
	flags.BoolVar(&o.write, "write", false, "put the tables into "+readme)
	must(flags.Parse(args))
	o.rounds, o.tasks = 8, 50_000
	if o.quick {
		o.rounds, o.tasks = 1, perEngine
	}
	if o.write && (o.quick || *only != "") {
		return o, fmt.Errorf("-write needs everything, in %d rounds", o.rounds)
	}
	o.only, err = regexp.Compile(*only)
	return o, err
}

func (o options) run() error {
	began, r := time.Now(), results{}
	for _, g := range groups() {
		if !o.only.MatchString(g.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", g.name)
		if err := measure(g, o.rounds, o.tasks, r); err != nil {
			return err
		}
	}
	return o.publish(r, began)
}
