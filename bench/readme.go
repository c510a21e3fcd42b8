package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// The tables stand in the README between these lines.
const (
	readme     = "bench/README.md"
	tableBegin = "<!-- table: written by go run ./bench -write -->"
	tableEnd   = "<!-- end of the table -->"
)

// publish prints the results, and writes them into the README if that was asked for.
func (o options) publish(r results, at time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", o.header(at))
	r.write(&b)
	if _, err := os.Stdout.WriteString(b.String()); err != nil || !o.write {
		return err
	}
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	text, err := replaceTable(string(old), b.String())
	if err != nil {
		return err
	}
	return os.WriteFile(readme, []byte(text), 0o644)
}

var modelName = regexp.MustCompile(`model name\s*: (.*)`)

// header says where and when the figures come from.
func (o options) header(at time.Time) string {
	if o.quick {
		return fmt.Sprintf("A quick run: figures mean nothing, and a million is %d.", million(o.tasks))
	}
	cpu := "processor unknown"
	info, _ := os.ReadFile("/proc/cpuinfo")
	if found := modelName.FindSubmatch(info); found != nil {
		cpu = string(found[1])
	}
	return fmt.Sprintf("%s, %s/%s, GOMAXPROCS=%d, %s, %s, medians of %d rounds.", runtime.Version(),
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), cpu, at.Format(time.DateOnly), o.rounds)
}

// replaceTable returns the README with other tables.
func replaceTable(readme, table string) (string, error) {
	before, rest, begins := strings.Cut(readme, tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", errors.New("the README has lost the lines around its tables")
	}
	return before + tableBegin + "\n\n" + strings.TrimSpace(table) + "\n\n" + tableEnd + after, nil
}
