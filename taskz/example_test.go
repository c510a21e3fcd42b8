package taskz_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// The page on a debug mux, and how a program asks it about a task.
func Example() {
	page := taskz.New()
	log := slog.New(page.LogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1})))
	tasks := core.New(core.WithMiddleware(page.Middleware()), core.WithLogger(log))
	defer tasks.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/tasks/", page.Handler(tasks))

	task := tasks.Go(context.Background(), "send_receipt", func(context.Context) error {
		return errors.New("mailbox unavailable")
	}, core.WithAttrs(slog.String("order_id", "o-7")))
	<-task.Done()

	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/debug/tasks/"+page.TaskPath(task), nil)
	request.Header.Set("Accept", "application/json")
	mux.ServeHTTP(answer, request)
	got := struct {
		State, Error string
		Context      map[string]string
	}{}
	_ = json.Unmarshal(answer.Body.Bytes(), &got)
	fmt.Println(got.State, got.Error, got.Context["order_id"])
	// Output: failed mailbox unavailable o-7
}
