package otelmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

// error.type is for counting by: few values, that tell what went wrong.

// Errors of every make.
type (
	quotaError   struct{ user string } // a pointer
	quotaValue   struct{ user string } // a value
	wrapping     struct{ err error }   // useful, and goes on
	failures     []error               // a slice: its values cannot be compared
	typedError   struct{ kind string } // says itself what it is
	endsHere     struct{}              // a wrapper of nothing
	panicsAs     struct{}
	panicsIs     struct{}
	panicsType   struct{}
	panicsUnwrap struct{}
)

func (e *quotaError) Error() string { return "quota of " + e.user }
func (e quotaValue) Error() string  { return "quota of " + e.user }

func (e *wrapping) Error() string { return "wrapped: " + e.err.Error() }
func (e *wrapping) Unwrap() error { return e.err }

func (e failures) Error() string   { return fmt.Sprintf("%d failures", len(e)) }
func (e failures) Unwrap() []error { return e }

func (e *typedError) Error() string     { return "refused" }
func (e *typedError) ErrorType() string { return e.kind }

func (*endsHere) Error() string { return "ends here" }
func (*endsHere) Unwrap() error { return nil }

func (*panicsAs) Error() string       { return "as" }
func (*panicsAs) As(any) bool         { panic("as") }
func (*panicsIs) Error() string       { return "is" }
func (*panicsIs) Is(error) bool       { panic("is") }
func (*panicsType) Error() string     { return "type" }
func (*panicsType) ErrorType() string { panic("type") }
func (*panicsUnwrap) Error() string   { return "unwrap" }
func (*panicsUnwrap) Unwrap() error   { panic("unwrap") }

// plainError is the type of what errors.New returns. Package errors does not export it.
var plainError = fmt.Sprintf("%T", errTask)

func TestErrorType(t *testing.T) {
	plain := errors.New("mailbox full")
	quota := &quotaError{"ada"}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"errors.New":              {plain, plainError},
		"pointer":                 {quota, "*otelmw_test.quotaError"},
		"value":                   {quotaValue{"ada"}, "github.com/afterspan/afterspan/otelmw_test.quotaValue"},
		"of the standard library": {io.ErrUnexpectedEOF, plainError},

		// What fmt and errors wrap with tells nothing.
		"wrapped by fmt":           {fmt.Errorf("send: %w", quota), "*otelmw_test.quotaError"},
		"wrapped by fmt twice":     {fmt.Errorf("job: %w", fmt.Errorf("send: %w", quota)), "*otelmw_test.quotaError"},
		"plain, wrapped by fmt":    {fmt.Errorf("send: %w", plain), plainError},
		"two %w":                   {fmt.Errorf("%w: %w", plain, quota), "*otelmw_test.quotaError"},
		"two plain %w":             {fmt.Errorf("%w: %w", plain, plain), plainError},
		"joined":                   {errors.Join(plain, quota), "*otelmw_test.quotaError"},
		"joined, the first counts": {errors.Join(quota, &wrapping{plain}), "*otelmw_test.quotaError"},
		"plain ones joined":        {errors.Join(plain, plain), plainError},
		"joined deep inside":       {fmt.Errorf("a: %w", errors.Join(plain, fmt.Errorf("b: %w", quota))), "*otelmw_test.quotaError"},

		// The innermost that tells anything, not the innermost of all.
		"useful around plain":               {&wrapping{plain}, "*otelmw_test.wrapping"},
		"useful around useful":              {&wrapping{quota}, "*otelmw_test.quotaError"},
		"useful around a wrapped plain one": {&wrapping{fmt.Errorf("x: %w", plain)}, "*otelmw_test.wrapping"},
		"slice of plain ones":               {failures{plain}, "github.com/afterspan/afterspan/otelmw_test.failures"},
		"slice of useful ones":              {failures{plain, quota}, "*otelmw_test.quotaError"},
		"empty slice":                       {failures{}, "github.com/afterspan/afterspan/otelmw_test.failures"},
		"slice with a nil":                  {failures{nil, plain}, "github.com/afterspan/afterspan/otelmw_test.failures"},
		"wraps nil":                         {&endsHere{}, "*otelmw_test.endsHere"},

		// Errors that say it themselves.
		"ErrorType":                    {&typedError{"quota_exceeded"}, "quota_exceeded"},
		"ErrorType in the chain":       {fmt.Errorf("send: %w", &wrapping{&typedError{"quota_exceeded"}}), "quota_exceeded"},
		"ErrorType in a join":          {errors.Join(plain, &typedError{"quota_exceeded"}), "quota_exceeded"},
		"ErrorType says nothing":       {&typedError{""}, "*otelmw_test.typedError"},
		"ErrorType says it, in UTF-8":  {&typedError{"quota\xff"}, "quota\uFFFD"},
		"ErrorType of a panic as well": {&wrapping{&core.PanicError{Value: quota}}, "panic"},

		// The methods are the service's own code, and may panic: then it is the value for what is not known.
		"ErrorType panics": {&panicsType{}, "_OTHER"},
		"As panics":        {&panicsAs{}, "*otelmw_test.panicsAs"},
		"Is panics":        {&panicsIs{}, "_OTHER"},
		"Unwrap panics":    {&panicsUnwrap{}, "_OTHER"},

		// An error that was wrapped by mistake, since it is nil, has no type that tells anything.
		"nil":               {fmt.Errorf("query: %w", error(nil)), plainError},
		"nil, and nil":      {fmt.Errorf("%w and %w", error(nil), error(nil)), plainError},
		"nil in a join":     {errors.Join(fmt.Errorf("query: %w", error(nil))), plainError},
		"nil, then another": {errors.Join(fmt.Errorf("query: %w", error(nil)), quota), "*otelmw_test.quotaError"},

		// What the standard library returns.
		"os":                            {&os.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}, "syscall.Errno"},
		"net":                           {refused, "syscall.Errno"},
		"url":                           {&url.Error{Op: "Get", URL: "http://x", Err: refused}, "syscall.Errno"},
		"url around plain":              {&url.Error{Op: "Get", URL: "http://x", Err: io.EOF}, "*url.Error"},
		"dns":                           {&net.OpError{Op: "dial", Err: &net.DNSError{Name: "x"}}, "*net.DNSError"},
		"a deadline of somebody else's": {fmt.Errorf("query: %w", context.DeadlineExceeded), fmt.Sprintf("%T", context.DeadlineExceeded)},

		// Goexit of a task that another one waited for is that one's error, and says what happened.
		"goexit": {fmt.Errorf("the other task: %w", core.ErrGoexit), "goexit"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			job := tel.job(t, func(context.Context) error { return test.err }, nil)
			attrs := values(t, job.Attributes())
			assert.Equal(t, "failed", attrs["afterspan.task.outcome"])
			assert.Equal(t, test.want, attrs["error.type"])
			point := tel.histogram(t, "afterspan.task.duration").DataPoints[0]
			assert.Equal(t, test.want, values(t, point.Attributes.ToSlice())["error.type"], "the same in metrics")
			if test.want == "_OTHER" {
				handled.take() // the panic may have been told there, too
			}
		})
	}
}

// Whatever the error is that a task returns after its timeout, the timeout is what it is about.
func TestErrorTypeOfEveryTimedOutTaskIsTimeout(t *testing.T) {
	for name, err := range map[string]error{
		"its context's": context.DeadlineExceeded, "typed": &typedError{"quota_exceeded"}, "plain": errTask,
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			job := tel.job(t, func(ctx context.Context) error { <-ctx.Done(); return err }, nil, core.WithTimeout(1))
			assert.Equal(t, "timeout", values(t, job.Attributes())["error.type"])
		})
	}
}

// The errors of real calls, not of struct literals.
func TestErrorTypeOfRealFailures(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // so that nobody listens there
	for name, test := range map[string]struct {
		fn   core.Func
		want string
	}{
		"connection refused": {
			func(ctx context.Context) error {
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				resp, err := http.DefaultClient.Do(req)
				if err == nil {
					_ = resp.Body.Close()
				}
				return err
			}, "syscall.Errno",
		},
		"no such file": {func(context.Context) error { _, err := os.Open("/does/not/exist"); return err }, "syscall.Errno"},
		"no such host": {
			func(context.Context) error { _, err := url.Parse("http://[::1"); return err }, "*url.Error",
		},
	} {
		t.Run(name, func(t *testing.T) { // no fake clock: it would not wait for the network
			tel := newTelemetry(t)
			assert.Equal(t, test.want, values(t, tel.job(t, test.fn, nil).Attributes())["error.type"])
		})
	}
}
