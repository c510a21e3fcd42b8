package browsertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The page of all tasks.

// rows returns the text of each row of a table.
func rows(b *tab, id string) []string {
	b.t.Helper()
	return eval[[]string](b, fmt.Sprintf("[...document.querySelectorAll('#%s tr')].map(r => r.innerText)", id))
}

// hasRow is an expression: a row of a table contains text.
func hasRow(id, text string) string {
	return fmt.Sprintf("[...document.querySelectorAll('#%s tr')].some(r => r.innerText.includes(%s))", id, quote(text))
}

// orders are the attributes of the rows, in order, as an expression.
const orders = "[...document.querySelectorAll('#running tr')].map(r => r.innerText.match(/o-\\d+/)[0]).join(' ')"

func awaitOrders(b *tab, want string) {
	b.t.Helper()
	b.await(orders + " === " + quote(want))
}

func TestEmptyPage(t *testing.T) {
	s, b := newService(t), newTab(t)
	b.open(s.url)
	b.awaitText("Nothing runs, and nothing waits.")
	b.awaitText("No task has failed lately.")
	require.Equal(t, "0 running – orders", eval[string](b, "document.title"))
	require.Equal(t, "orders", eval[string](b, "document.querySelector('h1').innerText"))
}

// Rows appear when tasks start, change while they run, and go to the ended ones.
func TestRowsAppearAndGo(t *testing.T) {
	s, b := newService(t), newTab(t)
	b.open(s.url)
	b.awaitText("live")
	done, open := release(t)
	s.start("send_receipt", "o-1", until(done), core.WithTimeout(time.Hour))
	b.await(hasRow("running", "order_id=o-1"))
	b.await(hasRow("running", "running"))
	require.Equal(t, "http://traces.example/trace/"+fmt.Sprintf("%032x", 1), eval[string](b, "document.querySelector('#running a.trace').href"))
	open()
	b.await("document.querySelectorAll('#running tr').length === 0")
	b.await(hasRow("ended", "order_id=o-1"))
	b.await("document.querySelector('.tab[aria-selected=true]').innerText.includes('completed')")

	s.end("send_receipt", "o-2", failing)
	b.await(hasRow("ended", "smtp: 550 mailbox unavailable"))
	b.await("document.querySelector('.tab[aria-selected=true]').innerText.includes('failed')")
	b.click(".tab.completed")
	b.await(hasRow("ended", "o-1"))
}

func TestFilter(t *testing.T) {
	s, b := newService(t), newTab(t)
	for i := range 5 {
		s.start([]string{"send_receipt", "index_document"}[i%2], fmt.Sprint("o-", i), obey)
	}
	s.end("send_receipt", "o-77", failing)
	b.open(s.url)
	awaitOrders(b, "o-0 o-1 o-2 o-3 o-4")
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "order_id=o-3"))
	awaitOrders(b, "o-3")
	b.awaitText("1 of 5 match")
	require.Contains(t, eval[string](b, "location.search"), "q=order_id%3Do-3", "the address can be passed on")
	b.do(chromedp.Navigate(s.url + "?q=index"))
	awaitOrders(b, "o-1 o-3")
	require.Equal(t, "index", eval[string](b, "document.querySelector('#q').value"))

	b.open(s.url)
	b.click("#names tr[data-name=send_receipt] button")
	awaitOrders(b, "o-0 o-2 o-4")
	b.click(".name-filter")
	awaitOrders(b, "o-0 o-1 o-2 o-3 o-4")
	b.await(hasRow("ended", "o-77"))
	b.open(s.url + "?q=o-1")
	b.awaitText("None of the 1 match.")

	deaf, _ := release(t)
	s.start("deaf", "o-9", until(deaf)).Cancel()
	b.open(s.url)
	b.do(chromedp.SendKeys(chromedp.CSS("#state"), "cancelling"))
	awaitOrders(b, "o-9")
}

func TestSort(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("b", "o-1", obey, core.WithTimeout(time.Hour))
	s.start("c", "o-2", obey)
	s.start("a", "o-3", obey, core.WithTimeout(time.Minute))
	b.open(s.url)
	awaitOrders(b, "o-1 o-2 o-3")
	require.Equal(t, "ascending", eval[string](b, "document.querySelector('[data-sort=age]').parentNode.ariaSort"))
	b.click("[data-sort=age]")
	awaitOrders(b, "o-3 o-2 o-1")
	b.click("[data-sort=name]")
	awaitOrders(b, "o-3 o-1 o-2")
	b.click("[data-sort=name]")
	awaitOrders(b, "o-2 o-1 o-3")
	require.Equal(t, "descending", eval[string](b, "document.querySelector('[data-sort=name]').parentNode.ariaSort"))
	b.click("[data-sort=timeout]")
	awaitOrders(b, "o-3 o-1 o-2")
}

func TestPause(t *testing.T) {
	s, b, other := newService(t), newTab(t), newTab(t)
	other.open(s.url)
	b.open(s.url)
	b.awaitText("Nothing runs")
	b.click("#pause")
	b.awaitText("paused")
	b.await("performance.getEntriesByType('resource').every(e => e.responseEnd > 0)")
	s.start("send_receipt", "o-1", obey)
	const requests = "performance.getEntriesByType('resource').length"
	before := eval[int](b, requests)
	other.await(fmt.Sprintf("%s >= %d", requests, eval[int](other, requests)+2)) // so long
	require.Equal(t, before, eval[int](b, requests), "nothing is asked for")
	require.Empty(t, rows(b, "running"))
	b.click("#pause")
	b.await(hasRow("running", "o-1"))
}

// While one reads, rows stay where they are: what has ended is marked, what is new waits.
func TestRowsStayWhileOneReads(t *testing.T) {
	s, b := newService(t), newTab(t)
	first, endFirst := release(t)
	s.start("send_receipt", "o-1", until(first))
	s.start("send_receipt", "o-2", obey)
	b.open(s.url)
	awaitOrders(b, "o-1 o-2")
	place := func() float64 {
		return eval[float64](b, "document.querySelector('#running tr[data-id=\"2\"]').getBoundingClientRect().top")
	}
	x := eval[float64](b, "document.querySelector('#running tr').getBoundingClientRect().left + 200")
	before := place()
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, before+8))
	endFirst()
	s.start("send_receipt", "o-3", obey)
	b.awaitText("2 changes wait while you are in the table.")
	awaitOrders(b, "o-1 o-2")
	require.InDelta(t, before, place(), 0.5)
	b.await("document.querySelector('#running tr.gone').innerText.includes('o-1')")
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 2, 2))
	awaitOrders(b, "o-2 o-3")
}

// The same holds for the keyboard.
func TestRowsStayWhileTheKeyboardIsInThem(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("send_receipt", "o-1", obey)
	b.open(s.url)
	awaitOrders(b, "o-1")
	b.do(chromedp.Focus(chromedp.CSS("[data-sort=timeout]")), chromedp.KeyEvent(kb.Tab))
	b.await("document.activeElement.innerText.includes('#1')")
	require.NotEqual(t, "none", eval[string](b, "getComputedStyle(document.activeElement).outlineStyle"), "one sees where it is")
	s.start("send_receipt", "o-2", obey)
	b.awaitText("1 change waits while you are in the table.")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await("document.querySelector('.one h2')?.innerText.includes('send_receipt #1')")
}

func TestThousandsOfTasks(t *testing.T) {
	s, b := newService(t), newTab(t)
	for i := range 3000 {
		s.start("send_receipt", fmt.Sprint("o-", i), obey)
	}
	b.open(s.url)
	b.awaitText("3,000, the 50 oldest are listed")
	require.Len(t, rows(b, "running"), 50)
	b.click(".more")
	b.awaitText("3,000, the 200 oldest are listed")
	b.await("document.querySelectorAll('#running tr').length === 200")
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "o-2718"))
	awaitOrders(b, "o-2718")
}

func TestDarkMode(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("send_receipt", "o-1", obey)
	b.open(s.url)
	awaitOrders(b, "o-1")
	brightness := func(property string) float64 {
		return eval[float64](b, "getComputedStyle(document.body)."+property+".match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)")
	}
	require.Greater(t, brightness("backgroundColor"), brightness("color"))
	b.prefers(dark)
	require.Less(t, brightness("backgroundColor"), brightness("color"))
}

// On a phone nothing is wider than the screen.
func TestPhone(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("a_task_with_quite_a_long_name_that_has_no_spaces_in_it_at_all", "o-1", obey, core.WithTimeout(time.Hour), hostile)
	s.end("send_receipt", "o-2", failing)
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	for _, target := range []string{"", "1", "2"} {
		b.open(s.url + target)
		b.awaitText("o-")
		require.LessOrEqual(t, eval[int](b, "document.documentElement.scrollWidth"), 390, target)
	}
}

// On a small laptop the table of names has no scrollbar below it, also with large figures.
func TestNamesFitALaptop(t *testing.T) {
	s, b := newService(t), newTab(t)
	done, open := release(t)
	s.start("send_receipt_by_mail_to_the_customer", "o-1", until(done), core.WithTimeout(time.Millisecond))
	for range 30 {
		s.start("index_document", "o-2", until(done))
		s.end("index_document", "o-3", failing)
	}
	for _, width := range []int{1280, 1024} {
		b.do(chromedp.EmulateViewport(int64(width), 800))
		b.open(s.url)
		b.await(hasRow("names", "send_receipt"))
		require.Equal(t, 3, eval[int](b, "document.querySelectorAll('[title*=\"up to a fifth\"]').length"), "it says how exact they are")
		require.LessOrEqual(t, eval[int](b, "document.documentElement.scrollWidth"), width)
		require.LessOrEqual(t, eval[int](b, "document.querySelector('.wide').scrollWidth - document.querySelector('.wide').clientWidth"), 0, width)
	}
	open()
}

func TestShutdown(t *testing.T) {
	s, b := newService(t), newTab(t)
	done, open := release(t)
	s.start("send_receipt", "o-1", until(done))
	b.open(s.url)
	b.await(hasRow("running", "o-1"))
	ended := make(chan error)
	go func() {
		_, err := s.tasks.Shutdown(context.Background())
		ended <- err
	}()
	b.awaitText("Shutting down: new tasks are refused. 1 task has still to end.")
	s.start("late", "o-2", succeed)
	b.click(".tab.rejected")
	b.await(hasRow("ended", "o-2"))
	open()
	require.NoError(t, <-ended)
	b.awaitText("Shut down: all tasks have ended")
	s.http.CloseClientConnections()
	s.http.Close()
	b.awaitText("No contact with the service since")
	b.await(hasRow("ended", "o-2"))
	b.awaitText("no contact")
}
