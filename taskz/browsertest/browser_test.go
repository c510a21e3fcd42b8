package browsertest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what the page has to show.
const patience = 30 * time.Second

// chromium is the browser of all tests, started by the first.
var chromium = sync.OnceValues(startChromium)

// TestMain runs the tests, and ends the browser.
func TestMain(m *testing.M) {
	code := m.Run()
	if stopChromium != nil {
		stopChromium()
	}
	os.Exit(code)
}

var stopChromium func()

func startChromium() (context.Context, error) {
	profile, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		return nil, err
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(browserPath()), chromedp.UserDataDir(profile), chromedp.CombinedOutput(io.Discard),
	}
	// A root user has no sandbox, and a test no business outside.
	for flag := range strings.FieldsSeq("headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking " +
		"disable-component-update disable-sync disable-dev-shm-usage hide-scrollbars") {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	stopChromium = func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		stop()
		_ = os.RemoveAll(profile)
	}
	return ctx, chromedp.Do(ctx)
}

func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// A tab is a tab of the browser, with what went wrong in it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// newTab opens a tab. It skips the test if there is no browser, or fails it if AFTERSPAN_REQUIRE_SERVICES
// is set. At the end of the test nothing may have gone wrong in the tab.
func newTab(t *testing.T) *tab {
	t.Helper()
	if browserPath() == "" {
		if os.Getenv("AFTERSPAN_REQUIRE_SERVICES") != "" {
			t.Fatal("chromium is not installed, and AFTERSPAN_REQUIRE_SERVICES is set")
		}
		t.Skip("chromium is not installed")
	}
	browser, err := chromium()
	require.NoError(t, err)
	ctx, cancel := chromedp.NewContext(browser)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			b.describe()
		}
		cancel()
		require.Empty(t, b.takeProblems())
	})
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	b.do(chromedp.EmulateViewport(1280, 900))
	return b
}

// listen notes errors of scripts and what the Content-Security-Policy has blocked. Requests that fail are
// part of some tests.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, fmt.Sprint(e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			b.problems = append(b.problems, e.Entry.Text)
		}
	}
}

// takeProblems returns what went wrong so far, and forgets it.
func (b *tab) takeProblems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := b.problems
	b.problems = nil
	return problems
}

// bound returns a context that bounds one step.
func (b *tab) bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.bound()
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, steps...))
}

// call runs a command of the protocol.
func call[P, R any](b *tab, cmd cdp.Command[P, R], params P) {
	b.t.Helper()
	ctx, cancel := b.bound()
	defer cancel()
	_, err := chromedp.Call(ctx, cmd, params)
	require.NoError(b.t, err)
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// eval returns the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.bound()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return value
}

// await waits until an expression in the page is true, also while the tab goes to another page. What
// changes the page is a request a second.
func (b *tab) await(expression string) {
	b.t.Helper()
	ctx, cancel := b.bound()
	defer cancel()
	for {
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if yes && err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			require.Fail(b.t, "the page never got there", "waiting for %s: %v", expression, err)
		}
	}
}

// awaitText waits until the text of the page contains text.
func (b *tab) awaitText(text string) {
	b.t.Helper()
	b.await("document.body.innerText.includes(" + quote(text) + ")")
}

// click clicks an element with the mouse, as a person does: it has to be visible.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// prefers sets what the user prefers, such as a dark color scheme. No arguments: nothing.
func (b *tab) prefers(features ...*emulation.MediaFeature) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

var dark = &emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"}

// describe logs what the page shows.
func (b *tab) describe() {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	if text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText.slice(0, 3000)")); err == nil {
		b.t.Log(text)
	}
}

// screenshot returns a picture of what is in sight, or of the full page, in PNG.
func (b *tab) screenshot(full bool) []byte {
	b.t.Helper()
	ctx, cancel := b.bound()
	defer cancel()
	shot := chromedp.CaptureScreenshot()
	if full {
		shot = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(ctx, shot)
	require.NoError(b.t, err)
	return png
}
