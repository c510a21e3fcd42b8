package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The table stands between these lines of the README.
const (
	tableBegins = "<!-- table: written by go run ./bench -write -->"
	tableEnds   = "<!-- end of the table -->"
)

// plotFile is where the plot is, beside the README.
const plotFile = "plot.svg"

// publish prints the report, and writes it into the README if that was asked for.
func (o options) publish(r report, at time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", o.header(at))
	r.write(&b)
	if _, err := os.Stdout.WriteString(b.String()); err != nil || !o.write {
		return err
	}
	path := filepath.Join(o.dir, "README.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := replaceTable(string(old), b.String())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.dir, plotFile), []byte(plot(r)), 0o644)
}

// header says where and when the figures come from.
func (o options) header(at time.Time) string {
	return fmt.Sprintf("%s, %s/%s, GOMAXPROCS=%d, %s, %s, medians of %d rounds.",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), cpuModel(), at.Format(time.DateOnly), o.rounds)
}

// cpuModel returns the name of the processor, where the system tells.
func cpuModel() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}

// replaceTable returns the README with another table.
func replaceTable(readme, table string) (string, error) {
	before, rest, begins := strings.Cut(readme, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return "", errors.New("the lines around the table are missing")
	}
	return before + tableBegins + "\n\n" + strings.TrimSpace(table) + "\n\n" + tableEnds + after, nil
}
