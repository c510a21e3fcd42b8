package brokertest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// Every Go block of an adapter's README is in its example_test.go, line by line, and so compiles.
func TestREADMEsShowCodeThatCompiles(t *testing.T) {
	for _, adapter := range []string{"redispub", "natspub", "amqppub", "kafkapub"} {
		page, err := os.ReadFile("../" + adapter + "/README.md")
		require.NoError(t, err)
		code, err := os.ReadFile("../" + adapter + "/example_test.go")
		require.NoError(t, err)
		blocks := goBlock.FindAllStringSubmatch(string(page), -1)
		require.NotEmpty(t, blocks, adapter)
		for _, block := range blocks {
			require.Contains(t, withoutIndent(string(code)), withoutIndent(block[1]), adapter)
		}
	}
}

func withoutIndent(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
