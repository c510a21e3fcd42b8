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

// Every block of Go in the README stands in example_test.go, line by line, and so compiles. Those about
// River stand in riverq/dbtest, which has a database driver.
func TestGoBlocksAreCompiled(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	code, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	river, err := os.ReadFile("../../riverq/dbtest/readme_test.go")
	require.NoError(t, err)
	all := flat(string(code)) + flat(string(river))

	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.Contains(t, all, flat(block[1]), "not in example_test.go:\n%s", block[1])
	}
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
