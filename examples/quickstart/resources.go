package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// resources is what the agent and its tasks work with, and what is to be closed once both have ended.
type resources struct {
	docs    *os.Root // nothing outside the folder can be read
	outDir  string
	events  *os.File
	webhook net.Listener
}

// openResources opens them all, or none.
func openResources(o options) (*resources, error) {
	r := new(resources)
	if err := r.open(o); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *resources) open(o options) (err error) {
	if r.docs, err = os.OpenRoot(o.folder); err != nil {
		return fmt.Errorf("opening the folder of the documents: %w", err)
	}
	if r.outDir, err = makeOutDir(o.outDir); err != nil {
		return fmt.Errorf("making the folder for the output: %w", err)
	}
	if r.events, err = os.Create(filepath.Join(r.outDir, "events.jsonl")); err != nil {
		return fmt.Errorf("making the file for the events: %w", err)
	}
	// A webhook that is down in the worst way: it takes connections and never answers.
	if r.webhook, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("opening the webhook: %w", err)
	}
	return nil
}

func makeOutDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "afterspan-quickstart-")
	}
	return dir, os.MkdirAll(dir, 0o755)
}

func (r *resources) close() error {
	var errs []error
	if r.docs != nil {
		errs = append(errs, r.docs.Close())
	}
	if r.events != nil {
		errs = append(errs, r.events.Close())
	}
	if r.webhook != nil {
		errs = append(errs, r.webhook.Close())
	}
	return errors.Join(errs...)
}
