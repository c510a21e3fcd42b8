package browsertest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"github.com/afterspan/afterspan/core"
)

func TestShots(t *testing.T) {
	dir := os.Getenv("SHOTS")
	if dir == "" { t.Skip("set SHOTS") }
	b := newTab(t)
	save := func(name string, full bool) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), b.screenshot(full), 0o644))
	}
	empty := newService(t)
	b.open(empty.url); b.awaitText("live"); b.awaitText("Nothing runs"); save("empty", true)
	one := newService(t)
	one.start("send_receipt", "o-1", obey, core.WithTimeout(time.Minute))
	b.open(one.url); b.awaitText("o-1"); save("one", true)

	s := newService(t)
	rel, _ := release(t)
	for i := range 10000 {
		if i == 40 {
			s.start("reserve_stock", "o-666", func(ctx context.Context) error { s.log.InfoContext(ctx, "reserving", "warehouse", "north"); <-rel; return nil }, core.WithTimeout(2*time.Second))
		}
		s.tasks.Go(context.Background(), []string{"watch_delivery","index_document"}[i%2], obey, core.WithTimeout(time.Hour), core.WithAttrs(slog.String("order_id", fmt.Sprintf("o-%d", 10000+i)), slog.String("customer", fmt.Sprintf("c-%d", i%31))))
	}
	stop := time.After(40*time.Second)
	loop: for {
		select { case <-stop: break loop; case <-time.After(20*time.Millisecond): }
		s.start("send_receipt", "o-7", func(ctx context.Context) error {
			s.log.InfoContext(ctx, "sending", "host", "mail.example")
			time.Sleep(time.Duration(20+rand.IntN(100))*time.Millisecond)
			if rand.IntN(30) == 0 { s.log.WarnContext(ctx, "the server said no", "code", 550); return failing(ctx) }
			return nil })
		s.start("notify_partner", "o-8", func(ctx context.Context) error {
			select { case <-ctx.Done(): return ctx.Err(); case <-time.After(time.Duration(rand.ExpFloat64()*200)*time.Millisecond): return nil } }, core.WithTimeout(800*time.Millisecond))
		s.start("award_points", "o-9", func(ctx context.Context) error { if rand.IntN(100)==0 { var m map[string]int; m["x"]++ }; return nil })
	}
	b.open(s.url); b.awaitText("watch_delivery"); b.await("document.querySelectorAll('#running tr').length > 100")
	save("many-top", false)
	b.prefers(dark); save("many-dark", false)
	b.prefers()
	b.open(s.url+"?q=reserve"); b.awaitText("reserve_stock"); time.Sleep(1500*time.Millisecond); save("filtered", true)
	b.click("#running a"); b.awaitText("Show its stack"); b.click("#look"); b.awaitText("It waits"); save("task", true)
	b.open(s.url+"?q=award"); b.awaitText("award_points"); b.await("document.querySelector('#ended a')"); save("failed", true)
	b.click("#ended a"); b.awaitText("Panic"); save("panic", true)
	b.do(chromedp.EmulateViewport(390,844,chromedp.EmulateScale(2),chromedp.EmulateMobile))
	b.open(s.url); b.awaitText("watch_delivery"); save("phone", false)
	b.prefers(dark)
	b.open(s.url+"?q=reserve"); b.awaitText("reserve_stock"); time.Sleep(1200*time.Millisecond); save("phone-filtered", true)
	b.click("#running a"); b.awaitText("Show its stack"); b.click("#look"); b.awaitText("It waits"); save("phone-task", true)
	b.prefers(); b.do(chromedp.EmulateViewport(1280,900))
	go s.tasks.Shutdown(context.Background())
	b.open(s.url); b.awaitText("Shutting down"); save("shutdown", false)
}
