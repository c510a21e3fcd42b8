package taskz

import (
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/afterspan/afterspan/core"
)

// stackView is where a running task is, as JSON.
type stackView struct {
	ID      uint64 `json:"id"`
	Finding string `json:"finding"` // where it is, in a sentence
	Stack   string `json:"stack"`   // "": it has none (any more)
	Leaked  *bool  `json:"leaked,omitempty"`

	err error // no stack was taken
}

// serveStack shows where a running task is. That stops the world for a moment, so it takes a POST:
// over plain http a browser does not say for which site it fetches an image.
func (h *handler) serveStack(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		fail(w, http.StatusMethodNotAllowed, "a stack takes a POST: curl -X POST …/stack?id=42")
		return
	}
	form, err := formOf(r)
	id, err2 := strconv.ParseUint(r.URL.Query().Get("id"), 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if err2 != nil {
		fail(w, http.StatusBadRequest, "want the id of a task, as in stack?id=42")
		return
	}
	if h.isOfAnother(r) {
		failAs(w, r, form, http.StatusNotFound, ofAnother(id))
		return
	}
	leaks := r.URL.Query().Get("leaks") != ""
	if leaks && leakProfile() == nil {
		failAs(w, r, form, http.StatusNotImplemented, "this program has no goroutine leak profile: build it with Go 1.27")
		return
	}
	h.answerStack(w, r, form, id, leaks)
}

func (h *handler) answerStack(w http.ResponseWriter, r *http.Request, form form, id uint64, leaks bool) {
	t, ok := h.tasks.Task(id)
	if !ok {
		failAs(w, r, form, http.StatusNotFound, fmt.Sprintf("task %d is not running or queued", id))
		return
	}
	if t.StartedAt().IsZero() {
		failAs(w, r, form, http.StatusNotFound, fmt.Sprintf("task %d has not begun: it is queued, and has no stack yet", id))
		return
	}
	v, err := h.stacks.get(r.Context(), fmt.Sprint(id, leaks), func() stackView {
		return h.stackOf(t, leaks)
	})
	if err == nil {
		err = v.err
	}
	switch {
	case err != nil:
		unavailable(w, err)
	case v.Stack == "":
		failAs(w, r, form, http.StatusNotFound, fmt.Sprintf("task %d has no stack: it has just ended", id))
	case form == formJSON:
		write(w, r, http.StatusOK, form, encode(form, v))
	default:
		write(w, r, http.StatusOK, formText, v.text())
	}
}

// stackOf returns the stack of t. One stack is taken at a time, and one a second.
func (h *handler) stackOf(t *core.Task, leaks bool) stackView {
	v := stackView{ID: t.ID()}
	if v.err = h.tracebacks.wait(); v.err != nil {
		return v
	}
	h.tracebacks.one.Lock() // no user code is called below
	defer h.tracebacks.one.Unlock()
	if leaks {
		// It marks the goroutines, whose stacks then say that they are leaked.
		if err := leakProfile().WriteTo(io.Discard, 0); err != nil {
			leaks = false
		}
	}
	v.Stack, _ = t.Stack()
	v.Finding = finding(v.Stack)
	if leaks {
		header, _, _ := strings.Cut(v.Stack, "\n")
		v.Leaked = new(strings.Contains(header, "(leaked)"))
	}
	return v
}

// leakProfile returns the profile that finds goroutines that are blocked for ever, or nil. Go 1.27
// has it, and Go 1.26 with GOEXPERIMENT=goroutineleakprofile.
func leakProfile() *pprof.Profile { return pprof.Lookup("goroutineleak") }

func (v stackView) text() []byte {
	text := v.Finding + "\n\n" + v.Stack + "\n"
	if v.Leaked != nil && *v.Leaked {
		text = "blocked for ever: nothing that is running can wake this goroutine\n\n" + text
	}
	return []byte(text)
}
