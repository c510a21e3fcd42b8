package browsertest

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Values that do not return, and answers that do not come.

// A customer is described by a lock that its task holds.
type customer struct{ lock *sync.Mutex }

func (c customer) LogValue() slog.Value {
	c.lock.Lock()
	defer c.lock.Unlock()
	return slog.StringValue("c-1")
}

// The page finds a task that hangs also if that task holds the lock which its attributes need.
func TestTaskWhoseValueDoesNotReturn(t *testing.T) {
	s, b := newService(t), newTab(t)
	done, open := release(t)
	var lock sync.Mutex
	s.start("send_receipt", "o-1", func(context.Context) error {
		lock.Lock()
		defer lock.Unlock()
		<-done
		return nil
	}, core.WithAttrs(slog.Any("customer", customer{&lock})))
	b.open(s.url + "?q=o-1")
	b.await(hasRow("running", "customer=(LogValue does not return)"))
	b.click("#running a")
	b.awaitText("(LogValue does not return)")
	b.click("#look")
	b.awaitText("It waits: chan receive")
	open()
	b.await("document.querySelector('.one .chip').innerText === 'completed'")
	b.awaitText("c-1")
}

// An answer that does not come in time is not a lost contact, and neither is an error.
func TestAnswerThatDoesNotCome(t *testing.T) {
	for _, tc := range []struct {
		status          int
		banner, isLabel string
	}{
		{http.StatusServiceUnavailable, "The service is there, and does not answer in time since", "slow"},
		{http.StatusForbidden, "The service answers with an error since", "error"},
	} {
		s, b := newService(t), newTab(t)
		s.start("send_receipt", "o-1", obey)
		b.open(s.url)
		b.await(hasRow("running", "o-1"))
		page := *s.handler.Load()
		s.answerWith(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "try again", tc.status) }))
		b.awaitText(tc.banner)
		b.awaitText("try again")
		b.await("document.querySelector('#live').innerText === " + quote(tc.isLabel))
		require.NotContains(t, eval[string](b, "document.body.innerText"), "contact")
		s.answerWith(page)
		b.await("document.querySelector('#live').innerText === 'live'")
		b.await("document.querySelector('#banner').hidden")
	}
}
