package main

import (
	"errors"
	"flag"
	"fmt"
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
	pageAddr string // "": no page of the tasks
	page     *livePage
}

// A usageError is what is wrong with the command line, or flag.ErrHelp. Its text has the usage below it.
type usageError struct {
	err  error
	text string
}

func (e *usageError) Error() string { return e.text }
func (e *usageError) Unwrap() error { return e.err }

// exitCode returns what main exits with: 2 for a wrong command line, 1 for anything else that went wrong.
func exitCode(err error) int {
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		return 2
	default:
		return 1
	}
}

// parseOptions reads the command line. Its error is a *usageError.
func parseOptions(args []string) (options, error) {
	var o options
	var text strings.Builder
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(&text)
	flags.StringVar(&o.question, "q", defaultQuestion, "the `question`")
	flags.StringVar(&o.outDir, "out", "", "`folder` for transcript.json and events.jsonl (default a temporary one)")
	flags.BoolVar(&o.raw, "raw", false, "print the spans as stdouttrace does, and everything else to stderr")
	flags.StringVar(&o.pageAddr, "page", "", "serve the live page of the tasks at this `address`, such as :8098, until Ctrl-C")
	flags.Usage = func() {
		fmt.Fprint(&text, "Usage: quickstart [flags] [folder]\n\n"+
			"Answers a question from the *.md files and Go doc comments in folder (default: this module).\n\n")
		flags.PrintDefaults()
	}
	err := flags.Parse(args) // which writes what is wrong, and the usage
	if err == nil {
		if err = o.complete(flags.Args()); err != nil {
			fmt.Fprintln(&text, err)
			flags.Usage()
		}
	}
	if err != nil {
		return o, &usageError{err: err, text: strings.TrimSpace(text.String())}
	}
	return o, nil
}

// complete takes over what is not a flag, and reports what is wrong with the options.
func (o *options) complete(folders []string) error {
	switch {
	case strings.TrimSpace(o.question) == "":
		return errors.New("the question is empty")
	case len(folders) > 1:
		return errors.New("there is one folder at most, and flags come before it")
	case len(folders) == 1:
		o.folder = folders[0]
	default:
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
