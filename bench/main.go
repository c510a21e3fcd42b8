// Command bench measures afterspan against what people use instead, and prints a table in Markdown.
//
//	go run ./bench                   from the root of the repository; some minutes
//	go run ./bench -quick            a look whether everything runs; its figures mean nothing
//	go run ./bench -only 'empty'     some groups: empty, work, log, child, tracing, inflight
//	go run ./bench -write            puts the table and the plot into bench/README.md
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"
)

// minRounds is how many rounds a written report has at least.
const minRounds = 8

// options are the flags.
type options struct {
	settings
	only  *regexp.Regexp
	write bool
	dir   string
	many  int
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

func parse(args []string) (options, error) {
	o := options{settings: settings{sample: 60 * time.Millisecond}, many: manyInFlight}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&o.rounds, "rounds", minRounds, "how often everything is measured")
	only := flags.String("only", "", "measure the groups that match this `regexp`")
	quick := flags.Bool("quick", false, "one short round, and fewer tasks in flight")
	flags.BoolVar(&o.write, "write", false, "put the table and the plot into the README")
	flags.StringVar(&o.dir, "dir", "bench", "where the README is")
	must(flags.Parse(args))
	if *quick {
		o.rounds, o.sample, o.many = 1, time.Millisecond, 10*someInFlight
	}
	if o.write && (o.rounds < minRounds || *quick || *only != "") {
		return o, fmt.Errorf("-write needs everything, in %d rounds or more", minRounds)
	}
	if o.rounds < 1 {
		return o, errors.New("-rounds must be 1 or more")
	}
	var err error
	o.only, err = regexp.Compile(*only)
	return o, err
}

func (o options) run() error {
	began := time.Now()
	slog.SetDefault(quiet)
	calibrate()
	r := report{results: results{}, many: o.many}
	for _, g := range groups() {
		if o.only.MatchString(g.name) {
			progress("%s", g.name)
			r.groups = append(r.groups, g)
			if err := measure(g, o.settings, r.results); err != nil {
				return err
			}
		}
	}
	if o.only.MatchString("inflight") { // last, since it leaves a million ended goroutines to the runtime
		progress("inflight")
		measureInFlight(o.many, o.settings, r.results)
	}
	progress("done in %s", time.Since(began).Round(time.Second))
	return o.publish(r, began)
}

// progress tells who waits where it is.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
