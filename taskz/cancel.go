package taskz

import (
	"fmt"
	"net/http"
	"strconv"
)

// serveCancel cancels one task, or all of a name. The form has to repeat the name of the task, and
// may repeat the instance of the page, so that a page that was opened before a restart cancels
// nothing.
func (h *handler) serveCancel(w http.ResponseWriter, r *http.Request) {
	const maxForm = 4 << 10
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		fail(w, http.StatusMethodNotAllowed, "cancelling takes a POST")
		return
	case !h.cancel:
		fail(w, http.StatusForbidden, "this page only reads; taskz.WithCancel lets it cancel tasks")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, "cannot read the form: "+err.Error())
		return
	}
	instance, name, id := r.PostForm.Get("instance"), r.PostForm.Get("name"), r.PostForm.Get("id")
	switch {
	case instance != "" && instance != h.instance:
		fail(w, http.StatusConflict, "the service was restarted since the page was opened: its tasks are different ones")
	case name == "":
		fail(w, http.StatusBadRequest, "want the name of the task, to be sure that it is the right one")
	case id == "":
		h.cancelAll(w, r, name)
	default:
		h.cancelOne(w, r, id, name)
	}
}

func (h *handler) cancelOne(w http.ResponseWriter, r *http.Request, number, name string) {
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, "the id is not a number")
		return
	}
	t, ok := h.tasks.Task(id)
	switch {
	case !ok:
		fail(w, http.StatusNotFound, fmt.Sprintf("task %d has ended", id))
	case !isNamed(cut(t.Name(), maxName), name):
		fail(w, http.StatusConflict, fmt.Sprintf("task %d is %q, and not %q", id, cut(t.Name(), maxName), name))
	default:
		t.Cancel()
		answerCancel(w, r, 1)
	}
}

// cancelAll cancels the running and queued tasks of that name.
func (h *handler) cancelAll(w http.ResponseWriter, r *http.Request, name string) {
	n := 0
	for _, t := range h.tasks.Handles() {
		if isNamed(cut(t.Name(), maxName), name) {
			t.Cancel()
			n++
		}
	}
	answerCancel(w, r, n)
}

func answerCancel(w http.ResponseWriter, r *http.Request, n int) {
	write(w, r, http.StatusOK, formJSON, fmt.Appendf(nil, "{\"cancelled\":%d}\n", n))
}
