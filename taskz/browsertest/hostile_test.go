package browsertest

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// Text that tries to be more than text.

// hostile are attributes that try to become part of the page.
var hostile = core.WithAttrs(
	slog.String("html", `<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">`),
	slog.String(`"><svg onload=window.hacked=3>`, "key"),
	slog.String("link", "javascript:window.hacked=4"),
	slog.String("template", "${window.hacked=5} {{7*7}}"),
	slog.String("bidi", "\u202Eevil\u2066"),
)

// What a task brings along is shown, and not run.
func TestHostileAttributes(t *testing.T) {
	s, b := newService(t), newTab(t)
	name := `<img src=x onerror=window.hacked=6>`
	s.start(name, "o-1", obey, hostile)
	s.tasks.Go(context.Background(), name, func(context.Context) error { panic(`<script>window.hacked=7</script>`) }, hostile)
	for _, target := range []string{"", "1", "2"} {
		b.open(s.url + target)
		b.awaitText(`<script>window.hacked`)
		b.awaitText(name)
		require.False(t, eval[bool](b, "'hacked' in window"))
		require.Zero(t, eval[int](b, "document.querySelectorAll('main img, main script').length"))
	}
	b.open(s.url + "?q=" + "%3Cscript%3Ewindow.hacked%3D8%3C%2Fscript%3E&name=%3Cimg+src%3Dx+onerror%3Dwindow.hacked%3D9%3E")
	b.awaitText("live")
	require.False(t, eval[bool](b, "'hacked' in window"))
}

// Characters that change how the text around them is shown are replaced, as in the text for a terminal.
func TestCharactersThatChangeTheTextAroundThem(t *testing.T) {
	s, b := newService(t, taskz.WithCancel()), newTab(t)
	attrs := core.WithAttrs(slog.String("k\ney", "line\nline\tx\r\x1b[31m\u202Eevil\u2066"))
	name := "send\u202E\nreceipt"
	s.start(name, "o-1", func(ctx context.Context) error {
		s.log.InfoContext(ctx, "a\u202E\nb")
		return obey(ctx)
	}, attrs)
	s.end(name, "o-2", func(context.Context) error { return errors.New("no\u202E\x1b") }, attrs)
	for _, target := range []string{"", "1", "2"} {
		b.open(s.url + target)
		b.awaitText("line line x\uFFFD\uFFFD[31m\uFFFDevil\uFFFD")
		b.awaitText("send\uFFFD receipt")
		if target == "1" {
			b.awaitText("a\uFFFD b")
			b.click("article button.danger")
		}
		require.False(t, eval[bool](b, `/[\p{Cf}]|(?![\n\t])\p{Cc}/u.test(document.body.textContent + document.title)`), target)
	}
}

// Whatever a script gets into the page, the browser does not run it.
func TestContentSecurityPolicy(t *testing.T) {
	s, b := newService(t), newTab(t)
	b.open(s.url)
	b.awaitText("live")
	require.False(t, eval[bool](b, `(() => {
		const script = document.createElement('script');
		script.textContent = 'window.hacked = 1';
		document.body.append(script);
		return 'hacked' in window;
	})()`))
	problems := b.takeProblems()
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "Content Security Policy")
}
