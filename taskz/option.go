package taskz

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/afterspan/afterspan/core"
)

// An Option changes what [New] returns.
type Option func(*config)

type config struct {
	title    string
	recent   int
	keep     time.Duration
	traceID  func(context.Context, *core.Task) string // nil: no traces
	traceURL string                                   // "": no links
	cancel   bool
}

func newConfig(opts []Option) config {
	c := config{title: "Tasks", recent: 500, keep: 15 * time.Minute}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return c
}

// WithTitle sets the title of the page, such as the name of the service. The default is "Tasks".
func WithTitle(title string) Option {
	return func(c *config) { c.title = title }
}

// WithRecent sets how many ended tasks of each outcome are kept, and for how long. The defaults are
// 500 and 15 minutes. Outcomes don't compete for room: successes never push out failures.
// WithRecent panics if n or d is not positive.
func WithRecent(n int, d time.Duration) Option {
	if n <= 0 || d <= 0 {
		panic("taskz: WithRecent: the number and the time must be positive")
	}
	return func(c *config) { c.recent, c.keep = n, d }
}

// WithTraceID sets the function that returns the trace id of a task, or "", such as otelmw.TraceID.
// ctx is the context of the task's run, as the page's middleware sees it, so the page's middleware
// has to come after the one that starts the span. By default tasks have no trace id.
//
// f is called when the page shows a task, and once when a task has ended, on the goroutine of the
// task. It may be called concurrently, and must not block. A panic in it is recovered.
func WithTraceID(f func(ctx context.Context, t *core.Task) string) Option {
	return func(c *config) { c.traceID = f }
}

// WithTraceURL sets the address of a trace in the viewer that you use. {trace_id} in it stands for
// the id that the function of [WithTraceID] returns, as in http://localhost:16686/trace/{trace_id}.
// The default is no link. WithTraceURL panics if template has no {trace_id}, or is not an http or
// https address or a path.
func WithTraceURL(template string) Option {
	u, err := url.Parse(strings.ReplaceAll(template, traceIDMark, "0"))
	switch {
	case err != nil:
		panic("taskz: WithTraceURL: " + err.Error())
	case !strings.Contains(template, traceIDMark):
		panic("taskz: WithTraceURL: the address has no " + traceIDMark)
	case u.Scheme == "" && strings.HasPrefix(template, "/"):
	case u.Scheme != "http" && u.Scheme != "https":
		panic("taskz: WithTraceURL: want an http or https address, or a path")
	}
	return func(c *config) { c.traceURL = template }
}

const traceIDMark = "{trace_id}"

// WithCancel lets readers of the page cancel a task, or all tasks of a name. The page asks first.
// By default it only reads.
func WithCancel() Option {
	return func(c *config) { c.cancel = true }
}

// traceLink returns the address of a trace, or "".
func (c *config) traceLink(traceID string) string {
	if c.traceURL == "" || traceID == "" {
		return ""
	}
	// This is an escape in a path as in a query, where PathEscape leaves an & as it is.
	escaped := strings.ReplaceAll(url.QueryEscape(traceID), "+", "%20")
	return strings.ReplaceAll(c.traceURL, traceIDMark, escaped)
}
