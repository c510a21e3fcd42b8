package coretest_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
)

// A fakeT is a test that ends when its end method is called. It remembers what it was told, and
// panics, as a real test does, if it is told more after that.
type fakeT struct {
	testing.TB

	mu       sync.Mutex
	failures []string
	log      bytes.Buffer
	cleanups []func()
	over     bool
}

// during calls f while the test goes on.
func (t *fakeT) during(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		panic("the test is over")
	}
	f()
}

func (t *fakeT) Errorf(format string, args ...any) {
	t.during(func() { t.failures = append(t.failures, fmt.Sprintf(format, args...)) })
}

func (t *fakeT) Cleanup(f func()) { t.during(func() { t.cleanups = append(t.cleanups, f) }) }

func (t *fakeT) Output() io.Writer { return t }

// Write is that of the output.
func (t *fakeT) Write(line []byte) (n int, err error) {
	t.during(func() { n, err = t.log.Write(line) })
	return n, err
}

// end ends the test, and returns its failures and its output.
func (t *fakeT) end() (failures []string, log string) {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.failures, t.log.String()
}
