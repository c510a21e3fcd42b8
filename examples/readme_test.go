// Package examples has a test of what the READMEs of the examples say.
package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	goBlock   = regexp.MustCompile("(?s)```go\n(.*?)```")
	localLink = regexp.MustCompile(`\]\(([^):#]+)\)`)
)

// Every block of Go in the README of an example stands in its code, and so is compiled. A line "…"
// stands for lines that were left out.
func TestCodeInReadmes(t *testing.T) {
	for _, page := range readmes(t) {
		code := allCode(t, filepath.Dir(page))
		for _, block := range goBlock.FindAllStringSubmatch(read(t, page), -1) {
			for part := range strings.SplitSeq("\n"+flat(block[1]), "\n…\n") {
				assert.Contains(t, "\n"+code, "\n"+strings.TrimSpace(part)+"\n", page)
			}
		}
	}
}

func TestLinksInReadmes(t *testing.T) {
	for _, page := range readmes(t) {
		for _, link := range localLink.FindAllStringSubmatch(read(t, page), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), link[1]))
			assert.NoError(t, err, page)
		}
	}
}

func readmes(t *testing.T) []string {
	pages, err := filepath.Glob("*/README.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	return append(pages, "README.md")
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func allCode(t *testing.T, dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range files {
		code.WriteString(flat(read(t, file)))
	}
	return code.String()
}

// flat returns code without indentation and blank lines.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
