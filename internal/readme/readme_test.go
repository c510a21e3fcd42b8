// Package readme holds the code of the README, so that it is compiled and run.
package readme

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// Every block of Go in these pages stands in example_test.go, line by line, and so compiles. Those
// about River stand in riverq/dbtest, which has a database driver. A line "…" stands for lines that
// were left out.
func TestGoBlocksAreCompiled(t *testing.T) {
	code := flat(read(t, "example_test.go")) + flat(read(t, "../../riverq/dbtest/readme_test.go"))
	for _, page := range []string{"README.md", "docs/from-agentflow.md", "docs/sampling.md"} {
		blocks := goBlock.FindAllStringSubmatch(read(t, "../../"+page), -1)
		require.NotEmpty(t, blocks, page)
		for _, block := range blocks {
			for part := range strings.SplitSeq(flat(block[1]), "…\n") {
				part = strings.TrimSpace(part)
				assert.True(t, strings.Contains(code, part), "%s has lines that example_test.go has not:\n%s", page, part)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
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
