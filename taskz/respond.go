package taskz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A form is the format of an answer.
type form string

const (
	formHTML form = "html"
	formJSON form = "json"
	formText form = "text"
)

var contentTypes = map[form]string{
	formHTML: "text/html; charset=utf-8",
	formJSON: "application/json",
	formText: "text/plain; charset=utf-8",
}

// formOf returns the form that the parameter format, or else the header Accept, asks for. The
// default is text. It refuses parameters that cannot be read, which [url.URL.Query] would drop.
func formOf(r *http.Request) (form, error) {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return formText, fmt.Errorf("cannot read the parameters: %w", err)
	}
	switch f := form(params.Get("format")); f {
	case formHTML, formJSON, formText:
		return f, nil
	case "":
		return accepted(strings.Join(r.Header.Values("Accept"), ",")), nil
	default:
		return formText, fmt.Errorf("unknown format %q: want html, json or text", string(f))
	}
}

// accepted returns the form that an Accept header prefers, or the first of several that it prefers
// equally.
func accepted(header string) form {
	best, most := formText, 0.0
	for part := range strings.SplitSeq(header, ",") {
		kind, params, _ := strings.Cut(part, ";")
		var f form
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/html", "application/xhtml+xml":
			f = formHTML
		case "application/json", "application/*":
			f = formJSON
		case "text/plain", "text/*", "*/*":
			f = formText
		default:
			continue
		}
		if q := quality(params); q > most {
			best, most = f, q
		}
	}
	return best
}

// quality returns the q of the parameters of a media range.
func quality(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(key, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}

// write writes an answer. A reader that does not take it in time is dropped.
func write(w http.ResponseWriter, r *http.Request, status int, form form, body []byte) {
	w.Header().Set("Content-Type", contentTypes[form])
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	limitWrite(w, r, func() {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the reader may be gone
		}
	})
}

// limitWrite bounds the time that f may take to write, unless the server does so.
func limitWrite(w http.ResponseWriter, r *http.Request, f func()) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil || server.WriteTimeout > 0 {
		f()
		return
	}
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(patience)) // a wrapper may not support it
	f()
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{}) // the connection is used again
}

// fail answers with a sentence.
func fail(w http.ResponseWriter, status int, sentence string) {
	http.Error(w, sentence, status)
}

// failAs answers with a sentence in the form that the reader wants.
func failAs(w http.ResponseWriter, r *http.Request, form form, status int, sentence string) {
	if form != formJSON {
		fail(w, status, sentence)
		return
	}
	body, _ := json.Marshal(map[string]string{"error": sentence}) // cannot fail
	write(w, r, status, form, append(body, '\n'))
}

// unavailable tells a reader to try again later.
func unavailable(w http.ResponseWriter, err error) {
	sentence := "the tasks could not be read, try again"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		sentence = "the tasks could not be read in time: the function of WithTraceID may be stuck"
	case err != nil:
		sentence = err.Error()
	}
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable, sentence)
}
