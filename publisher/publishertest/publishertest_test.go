package publishertest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/publishertest"
)

// faultVariable makes this program run the kit on a publisher with that fault.
const faultVariable = "AFTERSPAN_TEST_PUBLISHER_FAULT"

const noFault = "none"

// The kit must fail for each of these faults, in the subtest that looks for it.
var faults = map[string]string{
	"permanent when away":           "an unreachable server is an error",
	"hangs when away":               "an unreachable server is an error",
	"permanent when stuck":          "a server that hangs is not waited for",
	"hangs when stuck":              "a server that hangs is not waited for",
	"permanent when ctx is done":    "a context that is done is refused",
	"takes the run for the thread":  "missing fields are filled in",
	"trims the content":             "control characters and other odd text arrive",
	"cuts the content":              "a big event arrives",
	"keeps the event after Publish": "the caller's event is neither changed nor kept",
}

func TestTheKitFindsFaults(t *testing.T) {
	for fault, subtest := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			out, err := runKit(t, fault)
			exit, failed := errors.AsType[*exec.ExitError](err)
			require.True(t, failed, "%v: %s", err, out)
			assert.Equal(t, 1, exit.ExitCode(), "the kit ends by itself: %s", out)
			assert.Contains(t, out, "--- FAIL: TestFaultyPublisher/"+strings.ReplaceAll(subtest, " ", "_"))
		})
	}
	t.Run(noFault, func(t *testing.T) {
		t.Parallel()
		out, err := runKit(t, noFault)
		require.NoError(t, err, out)
	})
}

func runKit(t *testing.T, fault string) (string, error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaultyPublisher$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), faultVariable+"="+fault)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestFaultyPublisher(t *testing.T) {
	fault := os.Getenv(faultVariable)
	if fault == "" {
		t.Skip("is run by TestTheKitFindsFaults")
	}
	publishertest.Run(t, func(*testing.T) publishertest.Target {
		p := &faulty{fault: fault, sent: make(chan any, 1000)}
		return publishertest.Target{
			Publisher: p, Receive: p.receive, MaxContent: 100_000,
			Away: publisher.Func(p.publishAway), Stuck: publisher.Func(p.publishStuck),
		}
	})
}

// A faulty publisher sends to a channel: a Message, or an Event that is encoded later.
type faulty struct {
	fault string
	sent  chan any
}

func (f *faulty) Publish(ctx context.Context, e publisher.Event) error {
	if err := ctx.Err(); err != nil {
		return f.permanentIf("permanent when ctx is done", err)
	}
	m, err := publisher.Plain.Encode(ctx, f.changed(e), "")
	if err != nil {
		return err
	}
	if f.fault == "keeps the event after Publish" {
		f.sent <- e
		return nil
	}
	f.sent <- m
	return nil
}

func (f *faulty) changed(e publisher.Event) publisher.Event {
	switch f.fault {
	case "takes the run for the thread":
		if e.ThreadID == "" {
			e.ThreadID = e.RunID
		}
	case "trims the content":
		e.Content = strings.TrimSpace(e.Content)
	case "cuts the content":
		e.Content = e.Content[:min(len(e.Content), 99_999)]
	}
	return e
}

func (f *faulty) receive(ctx context.Context) (publishertest.Received, error) {
	select {
	case sent := <-f.sent:
		m, encoded := sent.(publisher.Message)
		if !encoded {
			m, _ = publisher.Plain.Encode(context.Background(), sent.(publisher.Event), "")
		}
		e, err := publisher.Decode(m)
		return publishertest.Received{Event: e}, err
	case <-ctx.Done():
		return publishertest.Received{}, ctx.Err()
	}
}

func (f *faulty) publishAway(context.Context, publisher.Event) error {
	f.hangIf("hangs when away")
	return f.permanentIf("permanent when away", errors.New("connection refused"))
}

func (f *faulty) publishStuck(ctx context.Context, _ publisher.Event) error {
	f.hangIf("hangs when stuck")
	<-ctx.Done()
	return f.permanentIf("permanent when stuck", ctx.Err())
}

func (f *faulty) hangIf(fault string) {
	if f.fault == fault {
		select {}
	}
}

func (f *faulty) permanentIf(fault string, err error) error {
	if f.fault == fault {
		return publisher.Permanent(err)
	}
	return err
}
