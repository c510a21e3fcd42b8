package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// The page of one task.

func TestTaskThatFailed(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.end("send_receipt", "o-1", func(ctx context.Context) error {
		s.log.WarnContext(ctx, "the server said no", "code", 550)
		return failing(ctx)
	})
	b.open(s.url)
	b.click("#ended a")
	b.awaitText("smtp: 550 mailbox unavailable")
	b.awaitText("the server said no code=550")
	b.awaitText("o-1")
	b.await("document.querySelector('.one .chip').innerText === 'failed'")
	b.await("document.querySelector('#pause').hidden") // it does not change any more
}

func TestTaskThatPanicked(t *testing.T) {
	s, b := newService(t), newTab(t)
	task := s.end("crash", "o-1", func(context.Context) error {
		var m map[string]int
		m["x"]++
		return nil
	})
	b.open(fmt.Sprint(s.url, task.ID()))
	b.awaitText("assignment to entry in nil map")
	b.await("document.querySelector('.stack .own').innerText.includes('TestTaskThatPanicked')")
}

// A page that is opened while its task runs sees the end.
func TestTaskThatEndsWhileOneLooks(t *testing.T) {
	s, b := newService(t), newTab(t)
	done, open := release(t)
	s.start("send_receipt", "o-1", until(done), core.WithTimeout(time.Hour))
	b.open(s.url + "1")
	b.await("document.querySelector('.one .chip')?.innerText === 'running'")
	b.awaitText("1 h")
	open()
	b.await("document.querySelector('.one .chip').innerText === 'completed'")
}

func TestTaskThatIsNotKnown(t *testing.T) {
	s, b := newService(t), newTab(t)
	b.open(s.url + "42")
	b.awaitText("Task 42 is not known")
	b.awaitText("an ended task is kept for 15m0s")
	b.click("main a")
	b.awaitText("Nothing runs")
}

// A click asks, and cancels what it said, and no other.
func TestCancelOneTask(t *testing.T) {
	s, b := newService(t, taskz.WithCancel()), newTab(t)
	one := s.start("send_receipt", "o-1", obey)
	other := s.start("send_receipt", "o-2", obey)
	b.open(s.url + "1")
	b.click("article button.danger")
	b.awaitText("Cancel send_receipt #1?")
	require.Contains(t, eval[string](b, "document.querySelector('#ask-text').innerText"), "order_id=o-1")
	require.Equal(t, "ask-no", eval[string](b, "document.activeElement.id"), "Enter by mistake cancels nothing")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.await("!document.querySelector('#ask').open")
	require.Equal(t, core.Pending, one.Outcome())

	b.click("article button.danger")
	b.click("#ask-yes")
	b.awaitText("One task was told to stop.")
	b.await("document.querySelector('.one .chip').innerText === 'cancelled'")
	require.Equal(t, core.Cancelled, one.Outcome())
	require.Equal(t, core.Pending, other.Outcome())
}

func TestCancelAllOfAName(t *testing.T) {
	s, b := newService(t, taskz.WithCancel()), newTab(t)
	var sends []*core.Task
	for i := range 3 {
		sends = append(sends, s.start("send_receipt", fmt.Sprint("o-", i), obey))
	}
	other := s.start("index_document", "o-9", obey)
	b.open(s.url)
	b.awaitText("o-9")
	require.False(t, eval[bool](b, "[...document.querySelectorAll('button.danger')].some(e => e.checkVisibility())"), "only of a name")
	b.click("#names tr[data-name=send_receipt] button")
	b.click("section button.danger")
	b.awaitText("3 tasks of that name are told to stop")
	b.click("#ask-yes")
	b.awaitText("3 tasks were told to stop.")
	for _, task := range sends {
		<-task.Done()
		require.Equal(t, core.Cancelled, task.Outcome())
	}
	require.Equal(t, core.Pending, other.Outcome())
}

// A page that was opened before a restart cancels nothing: the ids are those of other tasks now.
func TestCancelAfterARestart(t *testing.T) {
	s, b := newService(t, taskz.WithCancel()), newTab(t)
	task := s.start("send_receipt", "o-1", obey)
	b.open(s.url + "1")
	b.click("article button.danger")
	b.awaitText("Cancel send_receipt #1?")
	after := newService(t, taskz.WithCancel())
	same := after.start("send_receipt", "o-2", obey)
	s.answerWith(*after.handler.Load())
	b.click("#ask-yes")
	b.awaitText("Not cancelled: the service was restarted")
	require.Equal(t, core.Pending, same.Outcome())
	require.Equal(t, core.Pending, task.Outcome())
}

// After a restart the page of a task doesn't turn into that of another with the same id.
func TestTaskAfterARestart(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("send_receipt", "o-1", obey)
	b.open(s.url + "1")
	b.awaitText("o-1")
	after := newService(t)
	after.start("index_document", "o-2", obey)
	s.answerWith(*after.handler.Load())
	b.awaitText("This task is not known any more.")
	b.awaitText("a restart")
	b.awaitText("o-1")
	b.do(chromedp.Navigate(s.url + "1?instance=another"))
	b.awaitText("Task 1 is not known")
}

// A click on a page that was opened before a restart does not show the stack of another task.
func TestStackAfterARestart(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("send_receipt", "o-1", obey)
	b.open(s.url + "1")
	b.awaitText("o-1")
	b.click("#pause") // it would notice
	after := newService(t)
	after.start("index_document", "o-2", obey)
	s.answerWith(*after.handler.Load())
	b.click("#look")
	b.awaitText("task 1 of that instance is not known")
}

func TestReadOnlyPage(t *testing.T) {
	s, b := newService(t), newTab(t)
	s.start("send_receipt", "o-1", obey)
	b.open(s.url + "1")
	b.awaitText("send_receipt #1")
	require.False(t, eval[bool](b, "[...document.querySelectorAll('button.danger')].some(e => e.checkVisibility())"))
}

// With Go 1.27 the page tells whether a task is blocked for ever.
func TestBlockedForEver(t *testing.T) {
	if pprof.Lookup("goroutineleak") == nil {
		t.Skip("this Go has no goroutine leak profile")
	}
	s, b := newService(t), newTab(t)
	s.start("archive", "o-1", func(context.Context) error {
		<-make(chan struct{})
		return nil
	})
	b.open(s.url + "1")
	b.click("#leak")
	b.awaitText("Blocked for ever: nothing that runs can wake it.")
}

// A program gets the same from the same address.
func TestJSONForPrograms(t *testing.T) {
	s := newService(t)
	task := s.end("send_receipt", "o-1", failing)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprint(s.url, task.ID()), nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "application/json")
	response, err := s.http.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var got struct {
		State   string
		Done    bool
		Context map[string]string
	}
	require.NoError(t, json.Unmarshal(body, &got))
	require.Equal(t, "failed", got.State)
	require.True(t, got.Done)
	require.Equal(t, "o-1", got.Context["order_id"])
}

// Somebody who was only told "a task hangs, find out where and for whom" finds it among 10,000, in three
// clicks: on the note that a task does not stop, on the task, and on its stack.
func TestFindTheTaskThatHangs(t *testing.T) {
	const n = 10_000
	s, b := newService(t), newTab(t)
	var stock sync.Mutex
	stock.Lock()
	t.Cleanup(stock.Unlock)
	for i := range n {
		if i == n/3 {
			s.start("reserve_stock", "o-666", func(ctx context.Context) error {
				s.log.InfoContext(ctx, "reserving", "warehouse", "north")
				return reserveStock(&stock)
			}, core.WithTimeout(10*time.Millisecond))
		}
		s.start([]string{"watch_delivery", "reserve_stock", "index_document"}[i%3], fmt.Sprint("o-", 1000+i), obey, core.WithTimeout(time.Hour))
	}
	b.open(s.url)
	b.awaitText("1 task does not stop")
	b.await("document.querySelector('#names tr[data-name=reserve_stock]').innerText.includes('(1 overdue)')")
	b.click(".overdue-note button")
	b.await("document.querySelectorAll('#running tr').length === 1")
	b.await("document.querySelector('#running tr.late .chip')?.innerText === 'overdue'")
	b.click("#running a")
	b.awaitText("o-666")
	b.await("document.querySelector('.one .chip').innerText === 'overdue'")
	b.click("#look")
	b.await("document.querySelector('.finding')?.innerText.includes('It waits: sync.Mutex.Lock')")
	b.await("document.querySelector('.finding').innerText.includes('reserveStock')")
	b.await("document.querySelector('.finding').innerText.includes('task_test.go')")
	b.awaitText("reserving warehouse=north")
	b.awaitText("its timeout")
}

// reserveStock forgets to look at a context.
func reserveStock(stock *sync.Mutex) error {
	stock.Lock()
	defer stock.Unlock()
	return nil
}
