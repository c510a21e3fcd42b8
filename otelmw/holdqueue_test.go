package otelmw

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// The queue of held spans by itself: each case is a script of calls, with the answers written in.
//
//	+a5     push a, due at 5
//	-a      take a: it must be there
//	!a      take a: it must have been taken
//	@5=ab   takeDue at 5 gives a, then b, then none
//	#2      two are in the queue
func TestHoldQueue(t *testing.T) {
	for name, script := range map[string]string{
		"empty":                         "#0 @9=",
		"due in the order of arrival":   "+a1 +b2 +c3 #3 @2=ab #1 @9=c #0 @9=",
		"none due yet":                  "+a5 @4= #1",
		"due at this very moment":       "+a5 @5=a #0",
		"the first leaves":              "+a1 +b2 +c3 -a #2 @9=bc",
		"one from the middle leaves":    "+a1 +b2 +c3 -b #2 @9=ac",
		"the last leaves":               "+a1 +b2 +c3 -c #2 @9=ab",
		"the only one leaves":           "+a1 -a #0 @9= +b2 @9=b",
		"all leave, backwards":          "+a1 +b2 +c3 -c -b -a #0 @9=",
		"push after the last one left":  "+a1 +b2 -b +c3 #2 @9=ac",
		"taken once by its task":        "+a1 -a !a @9=",
		"taken once by the clock":       "+a1 @1=a !a @9=",
		"two that are due together":     "+a1 +b1 @1=ab",
		"one that never was in a queue": "-x !x #0",
	} {
		t.Run(name, func(t *testing.T) {
			var q holdQueue
			held := map[string]*heldSpan{"x": {span: named("x")}}
			for step := range strings.FieldsSeq(script) {
				runStep(t, &q, held, step)
			}
		})
	}
}

func runStep(t *testing.T, q *holdQueue, held map[string]*heldSpan, step string) {
	t.Helper()
	name, digit := step[1:2], step[len(step)-1]-'0'
	switch step[0] {
	case '+':
		held[name] = &heldSpan{span: named(name), due: at(digit)}
		q.push(held[name])
	case '-':
		assert.Equal(t, named(name), q.take(held[name]), step)
	case '!':
		assert.Nil(t, q.take(held[name]), step)
	case '@':
		now, want, _ := strings.Cut(step[1:], "=")
		var got strings.Builder
		for span := q.takeDue(at(now[0] - '0')); span.Span != nil; span = q.takeDue(at(now[0] - '0')) {
			got.WriteString(span.Span.(namedSpan).name)
		}
		assert.Equal(t, want, got.String(), step)
	case '#':
		assert.Equal(t, int(digit), q.len, step)
	}
}

// A portion grows with the queue: it shrinks however fast it is filled.
func TestHoldQueueInPortions(t *testing.T) {
	var q holdQueue
	for length, want := range map[int]int{0: 512, 1: 512, 32_768: 512, 64_000: 1000, 1_000_000: 15_625} {
		q.len = length
		assert.Equal(t, want, q.portion(), length)
	}
}

// A span that was taken is not kept by the queue, nor by its entry.
func TestHoldQueueLetsGoOfWhatWasTaken(t *testing.T) {
	var q holdQueue
	a, b := &heldSpan{span: named("a")}, &heldSpan{span: named("b")}
	q.push(a)
	q.push(b)
	q.takeDue(at(0))
	q.take(b)
	assert.Zero(t, q)
	assert.Zero(t, *a)
	assert.Zero(t, *b)
}

func at(second byte) time.Time { return time.Time{}.Add(time.Duration(second) * time.Second) }

type namedSpan struct {
	trace.Span
	name string
}

func named(name string) trace.Span { return namedSpan{tracenoop.Span{}, name} }
