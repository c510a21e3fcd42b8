package core

import (
	"context"
	"runtime/pprof"
)

// takeLabels gives the goroutine the pprof labels of t's context, as pprof.Do does: it has those of whoever started it,
// or of the task before.
func (t *Task) takeLabels() {
	defer func() {
		if recover() != nil { // the context is the user's
			pprof.SetGoroutineLabels(context.Background())
		}
	}()
	t.keepLabels()
	pprof.SetGoroutineLabels(t.context())
}

// keepLabels takes down what labels the context has. A task that was started with the context of another one asks that for them, and
// so on: in a long chain of such tasks each would look through all before it.
func (t *Task) keepLabels() {
	if labelsKey == nil {
		return
	}
	labels := t.values.Value(labelsKey)
	if labels == nil {
		t.unlabelled = true
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.extras().labels = labels
}

// labels returns what keepLabels has taken down. If it has not been called, known is false.
func (t *Task) labels() (labels any, known bool) {
	if t.unlabelled {
		return nil, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	labels = t.more().labels
	return labels, labels != nil
}

// labelsKey is the key under which package pprof keeps the labels of a context.
var labelsKey = func() (key any) {
	pprof.Label(keyProbe{Context: context.Background(), key: &key}, "")
	return key
}()
