package taskz

import (
	"embed"
	"net/http"
	"path"
	"strconv"
)

// assets are the files of the page. They are written by hand, and served as they are.
//
//go:embed assets
var assets embed.FS

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// isAsset reports whether there is a file of that name to serve.
func isAsset(name string) bool {
	_, err := assets.Open("assets/" + name)
	return err == nil && assetTypes[path.Ext(name)] != ""
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	serveFile(w, r, http.StatusOK, name, assetTypes[path.Ext(name)])
}

// serveShell serves the HTML, the same for the page and for a task: the script fetches the
// contents.
func serveShell(w http.ResponseWriter, r *http.Request) { serveShellAs(w, r, http.StatusOK) }

func serveShellAs(w http.ResponseWriter, r *http.Request, status int) {
	serveFile(w, r, status, "index.html", contentTypes[formHTML])
}

func serveFile(w http.ResponseWriter, r *http.Request, status int, name, contentType string) {
	body, err := assets.ReadFile("assets/" + name)
	if err != nil { // cannot be: the name was looked up
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	limitWrite(w, r, func() {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the reader may be gone
		}
	})
}
