package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const defaultQuestion = "What happens to tasks that still run at shutdown?"

// options is what the command line says.
type options struct {
	question string
	folder   string // of the documents
	outDir   string // "": a temporary one
	raw      bool
}

// parseOptions reads the command line. What is wrong with it is printed to stderr, with the usage.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.question, "q", defaultQuestion, "the `question`")
	flags.StringVar(&o.outDir, "out", "", "`folder` for transcript.json and events.jsonl (default a temporary one)")
	flags.BoolVar(&o.raw, "raw", false, "print the spans as stdouttrace does, and everything else to stderr")
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: quickstart [flags] [folder]\n\n"+
			"Answers a question from the *.md files and Go doc comments in folder (default: this module).\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err // printed by flags
	}
	o.folder = flags.Arg(0)
	if err := o.check(flags.NArg()); err != nil {
		fmt.Fprintf(stderr, "quickstart: %v\n", err)
		flags.Usage()
		return o, err
	}
	return o, nil
}

// check reports what is wrong with the options, and sets the folder if it was left out.
func (o *options) check(folders int) error {
	switch {
	case strings.TrimSpace(o.question) == "":
		return errors.New("the question is empty")
	case folders > 1:
		return errors.New("there is one folder at most, and flags come before it")
	case folders == 0:
		o.folder = moduleRoot()
	}
	return nil
}

// moduleRoot returns the nearest folder upwards that has a go.mod, or else the current one.
func moduleRoot() string {
	const highest = 20
	for i, dir := 0, "."; i < highest; i, dir = i+1, filepath.Join("..", dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return "."
}
