package main

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page says what became of the tasks after they have ended, until the quickstart is interrupted.
func TestPage(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-out", t.TempDir(), "-page", "127.0.0.1:0", testFolder}, stdout, io.Discard)
		_ = stdout.Close()
	}()
	url := readUntil(t, out, regexp.MustCompile(`http://127\.0\.0\.1:\d+/debug/tasks/\n`))
	go func() { _, _ = io.Copy(io.Discard, out) }()

	response, err := http.Get(url[:len(url)-1])
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Contains(t, string(body), "index_documents")
	assert.Contains(t, string(body), "timed_out: 1")
	interrupt()
	require.NoError(t, <-ended)
}

func TestPageWithoutAnAddress(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"-page", "nonsense", testFolder}, io.Discard, io.Discard)
	assert.ErrorContains(t, err, "the page")
}

// readUntil reads until what was read matches, and returns the match.
func readUntil(t *testing.T, r io.Reader, want *regexp.Regexp) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if match := want.Find(all); match != nil {
			return string(match)
		}
		require.NoError(t, err, "%s", all)
	}
}
