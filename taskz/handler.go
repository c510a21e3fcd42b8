package taskz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/afterspan/afterspan/core"
)

// Handler returns the handler that shows the tasks of m, whose chain has the middleware of the
// page. Serve it under a prefix that ends with a slash, for all methods: see the package
// documentation for the addresses. It panics if m is nil.
func (p *Page) Handler(m *core.Manager) http.Handler {
	if m == nil {
		panic("taskz: Handler: the manager is nil")
	}
	h := &handler{Page: p, tasks: m, crossOrigin: http.NewCrossOriginProtection()}
	h.pages.weigh = func(body []byte) int { return cap(body) }
	return h
}

type handler struct {
	*Page
	tasks       *core.Manager
	crossOrigin *http.CrossOriginProtection
	snapshots   shared[*snapshot]
	pages       shared[[]byte]
	stacks      shared[stackView]
	tracebacks  pace
}

// patience is how long a request may take to be answered, and then to be written.
const patience = 10 * time.Second

// ServeHTTP looks at the last element of the path only, so that any prefix will do: x/ is the page
// under a prefix that ends with x.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if err := h.crossOrigin.Check(r); err != nil {
		fail(w, http.StatusForbidden, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	r = r.WithContext(ctx)
	name := path.Base(r.URL.Path)
	id, err := strconv.ParseUint(name, 10, 64)
	switch {
	case r.URL.Path == "" && !isFolder(r): // behind StripPrefix
		addSlash(w, r)
	case isBelowTask(r):
		fail(w, http.StatusNotFound, "not found: the address of a task ends with its id, without a slash")
	case r.URL.Path == "", strings.HasSuffix(r.URL.Path, "/"):
		get(w, r, h.servePage)
	case err == nil:
		get(w, r, func(w http.ResponseWriter, r *http.Request) { h.serveTask(w, r, id) })
	case name == "stack":
		h.serveStack(w, r)
	case name == "cancel":
		h.serveCancel(w, r)
	case isAsset(name):
		get(w, r, serveAsset)
	default:
		fail(w, http.StatusNotFound, "not found: want the page, which ends with a slash, or the id of a task")
	}
}

// isBelowTask reports whether a path goes on after the id of a task, as 42/ and 42/x do. A prefix
// of the page may end with a number, too. That is told by the mux's pattern. Without one, a number
// in a path that http.StripPrefix has not touched may be the prefix's.
func isBelowTask(r *http.Request) bool {
	folder := path.Base(path.Dir(r.URL.Path))
	if _, err := strconv.ParseUint(folder, 10, 64); err != nil {
		return false
	}
	_, pattern, _ := strings.Cut(r.Pattern, "/") // without method and host
	if pattern == "" {
		asked, _, _ := strings.Cut(r.RequestURI, "?")
		return asked != r.URL.EscapedPath()
	}
	pattern = "/" + pattern
	return !strings.HasSuffix(pattern, "/"+folder+"/") && !strings.HasSuffix(pattern, "}/")
}

// isFolder reports whether the address that the client knows ends with a slash.
func isFolder(r *http.Request) bool {
	asked, _, _ := strings.Cut(r.RequestURI, "?")
	return strings.HasSuffix(asked, "/")
}

// addSlash redirects to the same address with a slash, so that the relative links of the page are
// right.
func addSlash(w http.ResponseWriter, r *http.Request) {
	asked, query, _ := strings.Cut(r.RequestURI, "?")
	target := "./" + path.Base(asked) + "/"
	if query != "" {
		target += "?" + query
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// get calls serve for GET and HEAD, and refuses other methods.
func get(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "this address only takes GET and HEAD")
		return
	}
	serve(w, r)
}

// setHeaders lets a browser load the files of the page, and nothing else.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
}

func (h *handler) servePage(w http.ResponseWriter, r *http.Request) {
	form, err := formOf(r)
	if form == formHTML && err == nil {
		serveShell(w, r)
		return
	}
	q, err2 := parseQuery(r.URL.Query())
	if err = errors.Join(err, err2); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	body, err := h.pages.get(r.Context(), string(form)+q.key(), func() []byte { return h.page(r.Context(), form, q) })
	if err != nil || body == nil {
		unavailable(w, err)
		return
	}
	write(w, r, http.StatusOK, form, body)
}

// page returns the page that a query asks for, or nil if there is no snapshot in time. Other
// readers wait for it, so it goes on when ctx is cancelled.
func (h *handler) page(ctx context.Context, form form, q query) []byte {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	s, err := h.snapshots.get(ctx, "", func() *snapshot { return h.snapshot(h.tasks) })
	if err != nil {
		return nil
	}
	return encode(form, h.view(s, q))
}

func (h *handler) serveTask(w http.ResponseWriter, r *http.Request, id uint64) {
	form, err := formOf(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	v, ok := h.task(id)
	unknown := h.unknown(id)
	if h.isOfAnother(r) {
		ok, unknown = false, ofAnother(id)
	}
	switch {
	case !ok && form == formHTML:
		serveShellAs(w, r, http.StatusNotFound)
	case !ok:
		failAs(w, r, form, http.StatusNotFound, unknown)
	case form == formHTML:
		serveShell(w, r)
	default:
		write(w, r, http.StatusOK, form, encode(form, &taskPage{v, h.title, h.instance, h.cancel, leakProfile() != nil}))
	}
}

// taskPage is the page of one task as JSON.
type taskPage struct {
	taskView
	Title     string `json:"title"`
	Instance  string `json:"instance"`
	CanCancel bool   `json:"can_cancel"`
	HasLeaks  bool   `json:"can_find_leaks"`
}

// task returns the task with that id. The manager is asked first: an ended task is remembered
// before the manager forgets it.
func (h *handler) task(id uint64) (v taskView, ok bool) {
	if t, ok := h.tasks.Task(id); ok {
		info := t.Info()
		v := h.runningView(&info, h.resolver.begin())
		if info.State == "cancelling" {
			v.Cause = t.CauseOf(errNotEnded)
		}
		v.addLines(h.lines.of(t))
		return v, true
	}
	now := time.Now()
	r, ok := h.memory.find(id, now.Add(-h.keep))
	if !ok {
		return v, false
	}
	return h.endedView(now, r), true
}

// isOfAnother reports whether a request is about a task of another process, or of this one before a
// restart.
func (h *handler) isOfAnother(r *http.Request) bool {
	instance := r.URL.Query().Get("instance")
	return instance != "" && instance != h.instance
}

func ofAnother(id uint64) string {
	return fmt.Sprintf("task %d of that instance is not known: "+
		"it belonged to another process, or to this one before a restart", id)
}

// errNotEnded stands for the error that a task may end with.
var errNotEnded = errors.New("taskz: not ended")

func (h *handler) unknown(id uint64) string {
	return fmt.Sprintf("there is no task %d: it is not running or queued, and an ended task is kept for %v, "+
		"if it is among the last %d of its outcome", id, h.keep, h.recent)
}

// encode returns v as JSON or as text.
func encode(form form, v interface{ text() []byte }) []byte {
	if form == formText {
		return v.text()
	}
	out, err := json.Marshal(v)
	if err != nil { // cannot be: all values are plain
		return []byte("{}\n")
	}
	return append(out, '\n')
}
