package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The page tells which task hangs, where, and for which order.
func TestTheTaskThatHangsIsFound(t *testing.T) {
	tasks, page := newTasks()
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan struct{})
	s := &shop{tasks: tasks}
	go func() {
		defer close(closed)
		s.open(ctx, 30)
	}()
	var found struct {
		Running struct {
			Tasks []struct {
				ID      uint64
				Context map[string]string
			}
		}
	}
	ask := func(method, target string) string {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(method, "/debug/tasks/"+target, nil))
		return w.Body.String()
	}
	require.Eventually(t, func() bool {
		_ = json.Unmarshal([]byte(ask(http.MethodGet, "?format=json&name=reserve_stock")), &found)
		return len(found.Running.Tasks) == 1
	}, 20*time.Second, 10*time.Millisecond)
	task := found.Running.Tasks[0]
	require.Equal(t, "o-10010", task.Context["order_id"])
	require.Eventually(t, func() bool { // it may not have come that far
		stack := ask(http.MethodPost, fmt.Sprintf("stack?id=%d&format=json", task.ID))
		return strings.Contains(stack, "(*shop).reserve") && strings.Contains(stack, "sync.Mutex.Lock")
	}, 20*time.Second, 10*time.Millisecond)

	cancel()
	<-closed
	s.stock.mu.Unlock() // somebody remembers
	require.NoError(t, tasks.Close())
}
