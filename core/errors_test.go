package core_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// What callers may test errors for.

func TestCausesMatchTheErrorsOfTheirContexts(t *testing.T) {
	for _, tc := range []struct {
		err      error
		is, isNo []error
	}{
		{core.ErrTimeout, []error{context.DeadlineExceeded}, []error{context.Canceled, core.ErrCancelled, core.ErrShutdown}},
		{core.ErrCancelled, []error{context.Canceled}, []error{context.DeadlineExceeded, core.ErrTimeout, core.ErrShutdown}},
		{core.ErrShutdown, []error{context.Canceled}, []error{context.DeadlineExceeded, core.ErrTimeout, core.ErrCancelled}},
		{core.ErrClosed, nil, []error{context.Canceled, context.DeadlineExceeded, core.ErrFull, core.ErrShutdown}},
		{core.ErrFull, nil, []error{context.Canceled, context.DeadlineExceeded, core.ErrClosed}},
		{core.ErrGoexit, nil, []error{context.Canceled, context.DeadlineExceeded}},
	} {
		t.Run(tc.err.Error(), func(t *testing.T) {
			for _, err := range tc.is {
				require.ErrorIs(t, tc.err, err)
			}
			for _, err := range tc.isNo {
				require.NotErrorIs(t, tc.err, err)
			}
			require.True(t, strings.HasPrefix(tc.err.Error(), "afterspan: "), "it says where it comes from")
		})
	}
}

func TestPanicErrorIsTheErrorThatWasThrown(t *testing.T) {
	err := error(&core.PanicError{Value: fmt.Errorf("read: %w", io.ErrUnexpectedEOF), Stack: []byte("goroutine 1")})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualError(t, err, "panic: read: unexpected EOF")
	require.NotContains(t, err.Error(), "goroutine", "the stack is not part of the text")
	require.NoError(t, errors.Unwrap(&core.PanicError{Value: "a string"}))
	require.NoError(t, errors.Unwrap(&core.PanicError{}))
}

func TestShutdownErrorNamesWhatDidNotStop(t *testing.T) {
	task := func(id uint64, name string) core.TaskInfo {
		return core.TaskInfo{ID: id, Name: name, State: "cancelling", Age: 1500 * time.Millisecond}
	}
	for name, tc := range map[string]struct {
		tasks          []core.TaskInfo
		names, notThem []string
	}{
		"one":   {[]core.TaskInfo{task(7, "send_receipt")}, []string{"send_receipt", "id 7", "cancelling", "1.5s"}, []string{"more"}},
		"five":  {[]core.TaskInfo{task(1, "a1"), task(2, "b2"), task(3, "c3"), task(4, "d4"), task(5, "e5")}, []string{"a1", "e5"}, []string{"more"}},
		"seven": {[]core.TaskInfo{task(1, "a1"), task(2, "b2"), task(3, "c3"), task(4, "d4"), task(5, "e5"), task(6, "f6"), task(7, "g7")}, []string{"a1", "e5", "and 2 more"}, []string{"f6", "g7"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := error(&core.ShutdownError{
				Stats:     core.ShutdownStats{RemainingTasks: len(tc.tasks), Duration: 30 * time.Second},
				Remaining: tc.tasks,
			})
			for _, name := range tc.names {
				require.ErrorContains(t, err, name)
			}
			for _, name := range tc.notThem {
				require.NotContains(t, err.Error(), name)
			}
			require.ErrorContains(t, err, fmt.Sprint(len(tc.tasks)))
			require.ErrorContains(t, err, "30s")
			require.ErrorIs(t, err, context.DeadlineExceeded, "also one made by hand, in a test")
		})
	}
}
