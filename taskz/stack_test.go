package taskz_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Where a task is.

func TestStack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithLimit(1, 1))
		release := make(chan struct{})
		s.start("hangs", func(context.Context) error { hangHere(release); return nil })
		s.start("waits", succeed)
		synctest.Wait()
		w := s.post("stack?id=1", nil)
		require.Equal(t, http.StatusOK, w.Code)
		require.Regexp(t, `^It waits: chan receive.*, in taskz_test\.hangHere at taskz/stack_test\.go:\d+\.\n`, w.Body.String())
		got := s.stack("stack?id=1")
		require.Contains(t, got["stack"], "hangHere")
		require.Contains(t, got["finding"], "in taskz_test.hangHere")
		require.NotContains(t, got, "leaked", "nobody asked")
		w = s.post("stack?id=2", nil)
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), "task 2 has not begun")
		close(release)
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// The stack of a task that another process had is not that of the task with the same id.
func TestStackOfAnotherInstance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		task := s.start("waits", obey)
		synctest.Wait()
		_, instance, _ := strings.Cut(s.page.TaskPath(task), "?")
		require.Contains(t, s.stack("stack?id=1&" + instance)["stack"], "obey")
		for _, format := range []string{"text", "json"} {
			w := s.post("stack?id=1&instance=another&format="+format, nil)
			require.Equal(t, http.StatusNotFound, w.Code)
			require.Contains(t, w.Body.String(), "restart")
		}
		require.NoError(t, s.tasks.Close())
	})
}

// stack returns the JSON of a stack.
func (s *service) stack(target string) object {
	s.t.Helper()
	w := s.post(target, nil, "Accept", "application/json")
	require.Equal(s.t, http.StatusOK, w.Code, w.Body)
	var o object
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &o))
	return o
}

// However many ask, the world is stopped once a second: readers of one task share its stack, and those of many
// tasks wait in line. If the line is too long, they are told so at once.
func TestManyWantStacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		release := make(chan struct{})
		for range 10 {
			s.start("hangs", func(context.Context) error { hangHere(release); return nil })
		}
		synctest.Wait()
		ask := func(ids ...int) (codes map[int]int, took time.Duration) {
			began := time.Now()
			codes = make(map[int]int)
			var mu sync.Mutex
			var wg sync.WaitGroup
			for _, id := range ids {
				wg.Go(func() {
					w := s.post(fmt.Sprint("stack?id=", id), nil)
					mu.Lock()
					defer mu.Unlock()
					codes[w.Code]++
				})
			}
			wg.Wait()
			return codes, time.Since(began)
		}
		codes, took := ask(1, 1, 1, 1)
		require.Equal(t, map[int]int{200: 4}, codes)
		require.Zero(t, took)
		codes, took = ask(2, 3)
		require.Equal(t, map[int]int{200: 2}, codes)
		require.Equal(t, 2*time.Second, took)
		time.Sleep(2 * time.Second)
		codes, took = ask(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		require.Equal(t, map[int]int{200: 6, 503: 4}, codes)
		require.Equal(t, 5*time.Second, took)
		close(release)
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

func hangHere(release <-chan struct{}) { <-release }

// With Go 1.27 a task that nothing can wake is marked, if somebody asks.
func TestLeak(t *testing.T) {
	s := newService(t)
	started := make(chan struct{})
	s.start("for ever", func(context.Context) error {
		never := make(chan struct{})
		close(started)
		<-never
		return nil
	})
	<-started
	release := make(chan struct{})
	s.start("not for ever", func(context.Context) error { <-release; return nil })
	if s.json("")["can_find_leaks"] == false {
		require.Equal(t, http.StatusNotImplemented, s.post("stack?id=1&leaks=1", nil).Code)
		t.Skip("this Go has no goroutine leak profile")
	}
	require.Equal(t, true, s.stack("stack?id=1&leaks=1")["leaked"])
	require.Contains(t, s.post("stack?id=1&leaks=1", nil).Body.String(), "blocked for ever")
	require.Equal(t, false, s.stack("stack?id=2&leaks=1")["leaked"])
	close(release)
}
