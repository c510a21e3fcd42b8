package taskz

import (
	"fmt"
	"net/http"
	"net/url"
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
	case r.URL.RawQuery != "":
		refuseForm(w, "the address has parameters")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuseForm(w, "cannot read the form: "+err.Error())
		return
	}
	if problem := formProblem(r.PostForm); problem != "" {
		refuseForm(w, problem)
		return
	}
	instance, name, id := r.PostForm.Get("instance"), r.PostForm.Get("name"), r.PostForm.Get("id")
	switch {
	case instance != "" && instance != h.instance:
		fail(w, http.StatusConflict,
			"the service was restarted since the page was opened: its tasks are different ones")
	case id == "":
		h.cancelAll(w, r, name)
	default:
		h.cancelOne(w, r, id, name)
	}
}

// formProblem says what is wrong with the fields of a form, or is "". It is strict, since a form
// whose id gets lost would cancel all tasks of the name.
func formProblem(fields url.Values) string {
	for key, values := range fields {
		switch {
		case key != "name" && key != "id" && key != "instance":
			return fmt.Sprintf("there is no field %q", cut(key, maxName))
		case len(values) > 1:
			return fmt.Sprintf("the field %s is there twice", key)
		case values[0] == "":
			return fmt.Sprintf("the field %s is empty", key)
		}
	}
	if !fields.Has("name") {
		return "the name of the task is missing, which makes sure that it is the right one"
	}
	return ""
}

// refuseForm says what is wrong with a form, and what to send instead.
func refuseForm(w http.ResponseWriter, problem string) {
	fail(w, http.StatusBadRequest, problem+"\nnothing was cancelled: send a form, with name and id for "+
		"one task, or with name alone for all tasks of that name, as in curl -d name=NAME -d id=42 …/cancel")
}

func (h *handler) cancelOne(w http.ResponseWriter, r *http.Request, number, name string) {
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		refuseForm(w, "the id is not a number")
		return
	}
	t, ok := h.tasks.Task(id)
	switch {
	case !ok:
		fail(w, http.StatusNotFound, fmt.Sprintf("task %d has ended", id))
	case !isNamed(cut(t.Name(), maxName), name):
		fail(w, http.StatusConflict,
			fmt.Sprintf("task %d is %q, and not %q", id, cut(t.Name(), maxName), name))
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
