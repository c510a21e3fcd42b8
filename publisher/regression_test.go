package publisher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// Most tests in this file are named after a bug that was fixed.

// doc.go and Ordered promise core.ErrShutdown for each event that a shutdown could not deliver. An
// event that was being published ended with context.Canceled instead. ErrShutdown matches
// context.Canceled, but not the other way round.
func TestTheEventOnItsWayDoesNotSayWhyItWasCancelled(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*testing.T, *core.Manager, *core.Task)
		want error
	}{
		"shutdown": {func(t *testing.T, m *core.Manager, _ *core.Task) {
			_, err := m.Shutdown(within(t, time.Second))
			assertLost(t, err, 2)
		}, core.ErrShutdown},
		"cancel":  {func(_ *testing.T, _ *core.Manager, task *core.Task) { task.Cancel() }, core.ErrCancelled},
		"timeout": {func(*testing.T, *core.Manager, *core.Task) {}, core.ErrTimeout},
	} {
		for sink, p := range map[string]publisher.Func{
			"that returns the context's error": obey,
			"that returns its own": func(ctx context.Context, _ publisher.Event) error {
				<-ctx.Done()
				return errBroker
			},
		} {
			inBubble(t, name+", a sink "+sink, func(t *testing.T) {
				m := newManager()
				for _, way := range ways(m, p) {
					task := way(t.Context(), small("t-1", ""), core.WithTimeout(time.Minute))
					defer func() {
						require.ErrorIs(t, task.Err(), tc.want)
						if strings.HasSuffix(sink, "context's error") {
							assert.EqualError(t, task.Err(), tc.want.Error(), "which says it already")
						} else {
							assert.ErrorIs(t, task.Err(), errBroker)
						}
					}()
					if name == "cancel" {
						tc.end(t, m, task)
					}
				}
				if name != "cancel" {
					tc.end(t, m, nil)
				}
				require.NoError(t, m.Wait(t.Context()))
			})
		}
	}
}

// A Writer must return an error with a short write, but some do not.
func TestShortWriteCountsAsWritten(t *testing.T) {
	p := publisher.Console(writerFunc(func(line []byte) (int, error) { return len(line) - 1, nil }))
	require.ErrorIs(t, p.Publish(t.Context(), full()), io.ErrShortWrite)
}

// JSON does not escape these characters. U+009B is CSI, which begins an escape code in terminals
// that know C1. U+202E reverses the rest of the line.
func TestConsoleLetsEscapeCodesInDataThrough(t *testing.T) {
	const evil = "\u009b2J\u0085\x7f\u202e\u2066\U000e0001"
	for name, e := range map[string]publisher.Event{
		"blocks": {ContentBlocks: []map[string]any{{evil: evil}}}, "data": {Data: map[string]any{evil: evil}},
		"metadata": {Metadata: map[string]any{evil: evil}},
	} {
		t.Run(name, func(t *testing.T) {
			e.Kind, e.Type = "k", "t"
			line := strings.TrimSuffix(readable(t, e), "\n")
			assert.Equal(t, -1, strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", line)
			_, value, _ := strings.Cut(line, name+"=")
			want, err := json.Marshal(map[string]string{evil: evil})
			require.NoError(t, err)
			assert.JSONEq(t, string(want), strings.Trim(value, "[]"), "the JSON has the same meaning")

			var out bytes.Buffer
			require.NoError(t, publisher.Console(&out, publisher.WithJSONLines()).Publish(t.Context(), e))
			line = strings.TrimSuffix(out.String(), "\n")
			assert.Equal(t, -1, strings.IndexFunc(line, unicode.IsControl), "%q", line)
		})
	}
}

// The byte 0x9B is also CSI, in terminals that are not set to UTF-8.
func TestConsoleWritesInvalidUTF8AsItIs(t *testing.T) {
	const evil = "\x9b2J\xff"
	e := publisher.Event{Kind: evil, Type: evil, NodeName: evil, ThreadID: evil, RunID: evil, UserID: evil, Content: evil}
	line := readable(t, e)
	assert.True(t, utf8.ValidString(line), "%q", line)
	assert.Contains(t, line, `node="\x9b2J\xff"`)
}

// The error quotes the URL and then a part of it. If the password has a slash, package net/url
// takes the part before it for the port, and quotes that.
func TestThePartOfAPasswordThatIsNoPortIsShown(t *testing.T) {
	for name, raw := range map[string]string{
		"a slash":         "redis://user:hunter2/rest-of-it@localhost:6379",
		"a question mark": "redis://user:hunter2?rest-of-it@localhost:6379",
		"a hash":          "redis://user:hunter2#rest-of-it@localhost:6379",
		"upper case":      "REDIS://user:hunter2#rest-of-it@LOCALHOST",
		"no user":         "redis://:hunter2/rest-of-it@localhost:6379",
		"brackets":        "redis://[user]:hunter2/rest-of-it@localhost:6379",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := url.Parse(raw)
			require.Error(t, err)
			requireHidden(t, publisher.Redact(err).Error())
			requireHidden(t, publisher.Redact(errors.New("redis: "+err.Error())).Error())
		})
	}
	_, err := url.Parse("redis://user:hunter%zz2@localhost")
	require.Error(t, err)
	assert.NotContains(t, publisher.Redact(err).Error(), "%zz")
}

// If a URL was neither quoted nor valid, the pattern ended too early and hid nothing.
func TestAnUnquotedURLWithASpaceOrAQuoteIsShown(t *testing.T) {
	for _, text := range []string{
		"dial redis://user:hunter2 rest-of-it@localhost:6379: refused",
		"dial redis://user:hunter2'rest-of-it@localhost:6379: refused",
		`dial redis://user:hunter2"rest-of-it@localhost:6379: refused`,
		"cannot connect to 'redis://user:hunter2 rest-of-it@localhost'",
	} {
		requireHidden(t, publisher.Redact(errors.New(text)).Error())
	}
}

// Redact did not see the value of a panic, and core logged it as it was.
func TestAPanicShowsThePassword(t *testing.T) {
	m := newManager()
	for name, way := range ways(m, publisher.Func(func(context.Context, publisher.Event) error {
		panic("dial redis://user:hunter2@localhost: refused")
	})) {
		t.Run(name, func(t *testing.T) {
			task := way(t.Context(), small("t-1", ""))
			require.NoError(t, m.Wait(t.Context()))
			assertOutcome(t, core.Failed, task)
			requireHidden(t, task.Err().Error())
			var panicked *core.PanicError
			require.ErrorAs(t, task.Err(), &panicked)
			assert.Contains(t, string(panicked.Stack), "regression_test.go")
		})
	}
}

// The error had no index of the block.
func TestTheErrorDoesNotSayWhichBlock(t *testing.T) {
	e := small("t-1", "")
	e.ContentBlocks = []map[string]any{{}, {"x": 1i}}
	_, err := publish(t, &inbox{}, e)
	require.ErrorContains(t, err, `Event.ContentBlocks has a value that JSON cannot carry: [1]: ["x"]: `)
}

// A timestamp outside the valid range is refused. It used to become a time that does not marshal.
func TestTimestampsThatAreNoTime(t *testing.T) {
	for _, in := range []string{"1e308", "-1e308", "1e15", "-1e15", "9223372036855", "1e13"} {
		var e publisher.Event
		err := json.Unmarshal([]byte(`{"timestamp":`+in+`}`), &e)
		require.ErrorContains(t, err, "the timestamp "+in+" is not in seconds")
	}
	for _, tm := range []time.Time{
		time.UnixMicro(math.MinInt64), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		_, err := json.Marshal(publisher.Event{Timestamp: tm})
		require.ErrorContains(t, err, "the timestamp ", tm.String())
		require.NotErrorAs(t, err, new(*json.SyntaxError), "MarshalJSON made something that is not JSON")
	}
}

// The text handler of package slog printed the bytes of marshalled data as numbers.
func TestSlogPrintsBytesAsNumbers(t *testing.T) {
	var out bytes.Buffer
	e := small("t-1", "")
	e.Data = map[string]any{"receipt": receipt{Total: 3}}
	_, err := publish(t, publisher.Slog(slog.New(slog.NewTextHandler(&out, nil))), e)
	require.NoError(t, err)
	assert.Contains(t, out.String(), `{\"receipt\":{\"total\":3}}`)
}

// A handler that passes records to another goroutine keeps the attributes. A Publisher must not
// keep the event's maps.
func TestSlogKeepsTheEventsMaps(t *testing.T) {
	var kept slog.Record
	h := handlerFunc(func(_ context.Context, r slog.Record) error { kept = r.Clone(); return nil })
	e := full()
	require.NoError(t, publisher.Slog(slog.New(h)).Publish(t.Context(), e))
	e.Data["files"], e.ContentBlocks[0]["text"], e.Metadata["is_stream"] = "changed", "changed", "changed"
	var out bytes.Buffer
	require.NoError(t, slog.NewJSONHandler(&out, nil).Handle(t.Context(), kept))
	assert.NotContains(t, out.String(), "changed")
}

// Package slog wrote "!ERROR:…" in place of the value, and the event counted as published.
func TestSlogSwallowsWhatCannotBeMarshalled(t *testing.T) {
	log := &logbook{}
	e := small("t-1", "")
	e.Data = map[string]any{"x": make(chan int)}
	err := publisher.Slog(log.logger()).Publish(t.Context(), e)
	var unsupported *json.UnsupportedTypeError
	require.ErrorAs(t, err, &unsupported)
}

// The documentation promises an attribute for each field, and this one was missing.
func TestSlogLeavesOutTheContentType(t *testing.T) {
	log := &logbook{}
	require.NoError(t, publisher.Slog(log.logger()).Publish(t.Context(), full()))
	line := log.only(t, "tool_execution result")
	assert.Equal(t, []any{"text", "tool_result"}, line["content_type"])
}

// A sink that has not returned still uses the maps, although Publish has returned to its caller.
func TestMultiKeepsTheEventsMaps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink, release := &inbox{}, make(chan struct{})
		e := full()
		require.Error(t, publisher.Multi(sink.until(release)).Publish(within(t, time.Second), e))
		e.Data["files"] = "changed"
		close(release)
		time.Sleep(time.Second)
		assert.InDelta(t, 42.0, sink.only(t).Data["files"], 0)
	})
}

// If the context is done, Publish tells its caller that the event has not arrived. The event must
// not arrive after that.
func TestMultiPublishesThoughItsContextIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink := &inbox{}
		for range 20 {
			require.ErrorIs(t, publisher.Multi(sink, sink).Publish(cancelled(), full()), context.Canceled)
		}
		time.Sleep(time.Second)
		assert.Empty(t, sink.all())
	})
}

// Each sink got the event, and a sink that does not marshal it accepted it.
func TestMultiTakesWhatCannotBeMarshalled(t *testing.T) {
	e, sink := full(), &inbox{}
	e.Data["conn"] = make(chan int)
	require.ErrorContains(t, publisher.Multi(sink, sink).Publish(t.Context(), e), `Event.Data has a value that JSON cannot carry: ["conn"]: `)
	assert.Empty(t, sink.all())
}

// The documentation promises microseconds. The envelope had nanoseconds, and so a different time
// than the event in it.
func TestTheEnvelopeHasAnotherTimeThanTheEvent(t *testing.T) {
	for _, tm := range []time.Time{time.Unix(1, 123_456_789), time.Unix(-2, 999_999_999)} {
		m := encode(t, publisher.Binary, context.Background(), publisher.Event{Kind: "k", Type: "t", Timestamp: tm})
		got, err := publisher.Decode(m)
		require.NoError(t, err)
		assert.Equal(t, got.Timestamp.Format(time.RFC3339Nano), m.Header["ce_time"])
	}
}

// If one error quotes another, the inner quotes are escaped. The pattern for errors of net/url did
// not match escaped quotes.
func TestAQuotedParseErrorShowsAPartOfThePassword(t *testing.T) {
	for _, raw := range []string{"redis://user:hunter2/rest-of-it@localhost", "redis://user:hunter2#rest-of-it@localhost"} {
		_, err := url.Parse(raw)
		require.Error(t, err)
		once := strconv.Quote(err.Error())
		for _, text := range []string{once, "config: " + once + " in line 3", strconv.Quote(once)} {
			requireHidden(t, publisher.Redact(errors.New(text)).Error())
		}
	}
}

// Reading and writing accept the same times: a time that was read can be written, and vice versa.
func TestTimesThatAreReadAndCannotBeWritten(t *testing.T) {
	for _, in := range []string{"-62135596799", "-1e11", "-253402300799", "253402300799", "253402300799.5"} {
		var e publisher.Event
		if json.Unmarshal([]byte(`{"timestamp":`+in+`}`), &e) == nil {
			_, err := json.Marshal(e)
			require.NoError(t, err, in)
		}
	}
	last := publisher.Event{Timestamp: time.Date(9999, 12, 31, 23, 59, 59, 500_000_000, time.UTC)}
	var e publisher.Event
	require.NoError(t, json.Unmarshal([]byte(toJSON(t, last)), &e))
}

// A nil Func is refused at once. It would otherwise panic in each task.
func TestANilFuncIsNoPublisher(t *testing.T) {
	m := newManager()
	for name, make := range map[string]func(){
		"Go":         func() { publisher.Go(t.Context(), m, publisher.Func(nil), full()) },
		"NewOrdered": func() { publisher.NewOrdered(m, publisher.Func(nil)) },
		"Multi":      func() { publisher.Multi(publisher.Func(nil)) },
	} {
		assert.Panics(t, make, name)
	}
}

type refusal struct{ error }

func (refusal) ErrorType() string { return "refused" }

// Redact keeps the kind of error, which becomes the attribute error.type.
func TestRedactedErrorsKeepTheirType(t *testing.T) {
	secret := errors.New("dial redis://user:hunter2@localhost")
	for want, err := range map[string]error{
		fmt.Sprintf("%T", secret): secret,
		"*net.OpError":            fmt.Errorf("dial redis://user:hunter2@localhost: %w", &net.OpError{Op: "dial"}),
		"refused":                 fmt.Errorf("publish: %w", refusal{secret}),
		"*net.OpError, wrapped":   fmt.Errorf("a: %w", fmt.Errorf("dial redis://user:hunter2@localhost: %w", &net.OpError{Op: "dial"})),
	} {
		var named interface{ ErrorType() string }
		require.ErrorAs(t, publisher.Redact(err), &named)
		assert.Equal(t, strings.TrimSuffix(want, ", wrapped"), named.ErrorType())
	}
}

// A panic is a mistake in the program. Another attempt would not help, and would block the key
// forever.
func TestAPanicIsNotRetried(t *testing.T) {
	m, attempts := newManager(), 0
	o := publisher.NewOrdered(m, publisher.Func(func(context.Context, publisher.Event) error { attempts++; panic(errBroker) }),
		publisher.WithRetry(func(ctx context.Context, publish func(context.Context) error) error {
			for publish(ctx) != nil {
			}
			return nil
		}))
	task := o.Go(t.Context(), small("t-1", ""))
	require.NoError(t, m.Wait(t.Context()))
	require.ErrorIs(t, task.Err(), errBroker)
	assertOutcome(t, core.Failed, task)
	assert.Equal(t, 1, attempts)
}

type leaky struct{}

func (leaky) MarshalJSON() ([]byte, error) {
	return nil, errors.New("dial redis://user:hunter2@db: refused")
}

// Every error of a task is redacted, not only that of its publisher.
func TestNoErrorOfATaskShowsThePassword(t *testing.T) {
	const secret = "dial redis://user:hunter2@localhost: refused"
	m := newManager()
	data, key := small("t-1", ""), small("t-1", "")
	data.Data = map[string]any{"x": leaky{}}
	key.Data = map[string]any{"redis://user:hunter2@localhost": make(chan int)}
	tasks := []*core.Task{
		publisher.NewOrdered(m, publisher.Func(fail), publisher.WithRetry(
			func(context.Context, func(context.Context) error) error { return errors.New(secret) })).Go(t.Context(), small("t-1", "")),
		publisher.NewOrdered(m, publisher.Func(func(context.Context, publisher.Event) error {
			return errors.New(strings.ReplaceAll(secret, "/", `\/`)) // as JSON may write it
		})).Go(t.Context(), small("t-1", "")),
	}
	for _, e := range []publisher.Event{data, key} {
		for _, way := range ways(m, publisher.Func(fail)) {
			tasks = append(tasks, way(t.Context(), e))
		}
	}
	require.NoError(t, m.Wait(t.Context()))
	for _, task := range tasks {
		assertOutcome(t, core.Failed, task)
		requireHidden(t, task.Err().Error())
	}
}
