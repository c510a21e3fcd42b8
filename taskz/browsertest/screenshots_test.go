package browsertest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// TestScreenshots writes pictures of the page for people to look at, one of them for the README:
//
//	AFTERSPAN_SCREENSHOTS=/tmp/shots AFTERSPAN_SCREENSHOTS_AFTER=5m go test -timeout 20m -run Screenshots ./taskz/browsertest
//
// The longer the service has run by then, the more is in the plots.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("AFTERSPAN_SCREENSHOTS")
	if dir == "" {
		t.Skip("AFTERSPAN_SCREENSHOTS names no folder")
	}
	after, err := time.ParseDuration(os.Getenv("AFTERSPAN_SCREENSHOTS_AFTER"))
	require.NoError(t, err)
	p := &pictures{newTab(t), dir}

	s := newService(t)
	p.save("empty", s.url, "Nothing runs")
	s.start("send_receipt", "o-1", obey, core.WithTimeout(time.Minute))
	p.save("one", s.url, "o-1")
	everyday(s, after)

	for _, look := range []string{"", "dark-", "phone-"} {
		p.look(look)
		p.save(look+"page", s.url, "watch_delivery")
		p.save(look+"filtered", s.url+"?state=overdue", "reserve_stock")
		p.click("#running a")
		p.click("#look")
		p.awaitText("It waits")
		p.save(look+"hanging", "", "o-666")
		p.save(look+"failed", s.url+"?name=award_points", "award_points")
		p.click("#ended a")
		p.save(look+"panic", "", "assignment to entry in nil map")
	}
	p.look("")
	go func() { _, _ = s.tasks.Shutdown(context.Background()) }()
	p.save("shutdown", s.url, "Shutting down")
	s.http.CloseClientConnections()
	s.http.Close()
	p.save("lost", "", "No contact")
}

// pictures is a tab whose pictures are saved.
type pictures struct {
	*tab
	dir string
}

// look sets how the page is looked at.
func (p *pictures) look(how string) {
	p.prefers()
	p.do(chromedp.EmulateViewport(1280, 1000, chromedp.EmulateScale(1.5)))
	switch how {
	case "dark-":
		p.prefers(dark)
	case "phone-":
		p.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile))
	}
}

// save saves what is in sight, and the full page, once the page at url shows text. Without a url it stays.
func (p *pictures) save(name, url, text string) {
	p.t.Helper()
	if url != "" {
		p.open(url)
	}
	p.awaitText(text)
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, name+".png"), p.screenshot(false), 0o644))
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, name+"-full.png"), p.screenshot(true), 0o644))
}

// everyday is what a service does for a while. One of 5,000 tasks hangs.
func everyday(s *service, after time.Duration) {
	attrs := func(order int) core.TaskOption {
		return core.WithAttrs(slog.String("order_id", fmt.Sprint("o-", order)), slog.String("customer", fmt.Sprint("c-", order%977)))
	}
	var stock sync.Mutex
	stock.Lock()
	s.t.Cleanup(stock.Unlock)
	for i := range 5000 {
		if i == 700 {
			s.start("reserve_stock", "o-666", func(ctx context.Context) error {
				s.log.InfoContext(ctx, "reserving", "warehouse", "north")
				return reserveStock(&stock)
			}, core.WithTimeout(2*time.Second))
		}
		s.tasks.Go(context.Background(), "watch_delivery", obey, attrs(10_000+i), core.WithTimeout(time.Hour))
	}
	end, tick := time.After(after), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for i := 20_000; ; i++ {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		for range 1 + rand.IntN(6) {
			s.tasks.Go(context.Background(), "send_receipt", s.sendReceipt, attrs(i), core.WithTimeout(3*time.Second))
			s.tasks.Go(context.Background(), "notify_partner", working(200*time.Millisecond), attrs(i), core.WithTimeout(900*time.Millisecond))
		}
		s.tasks.Go(context.Background(), "award_points", awardPoints, attrs(i))
	}
}

func (s *service) sendReceipt(ctx context.Context) error {
	s.log.InfoContext(ctx, "sending the receipt", "host", "mail.example")
	if err := working(90 * time.Millisecond)(ctx); err != nil {
		return err
	}
	if rand.IntN(60) == 0 {
		s.log.WarnContext(ctx, "the mail server said no", "code", 550)
		return failing(ctx)
	}
	return nil
}

func awardPoints(context.Context) error {
	if rand.IntN(100) == 0 {
		var members map[string]int
		members["nobody"]++
	}
	return nil
}

// working returns a Func that takes about d.
func working(d time.Duration) core.Func {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(float64(d) * (0.4 + rand.ExpFloat64()/2))):
			return nil
		}
	}
}
