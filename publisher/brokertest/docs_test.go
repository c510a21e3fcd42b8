package brokertest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// Every Go block of an adapter's README is in one of its examples, line by line, and so compiles.
func TestREADMEsShowCodeThatCompiles(t *testing.T) {
	for _, adapter := range []string{"redispub", "natspub", "amqppub", "kafkapub"} {
		code := read(t, "../"+adapter+"/example_test.go") + read(t, "../"+adapter+"/example_consumer_test.go")
		blocks := goBlock.FindAllStringSubmatch(read(t, "../"+adapter+"/README.md"), -1)
		require.NotEmpty(t, blocks, adapter)
		for _, block := range blocks {
			require.Contains(t, withoutIndent(code), withoutIndent(block[1]), adapter)
		}
	}
}

// The consumers of the examples need a server, so they cannot run where they are. They are here as
// well, word for word, and are tested here.
func TestExamplesShowTheConsumersThatAreTested(t *testing.T) {
	for example, tested := range map[string]string{
		"../example_consumer_test.go":          "consumer_inbox_test.go",
		"../redispub/example_consumer_test.go": "consumer_redis_test.go",
		"../natspub/example_consumer_test.go":  "consumer_nats_test.go",
		"../amqppub/example_consumer_test.go":  "consumer_rabbitmq_test.go",
		"../kafkapub/example_consumer_test.go": "consumer_kafka_test.go",
	} {
		shown, code := declarations(t, example), read(t, tested)
		require.NotEmpty(t, shown, example)
		for _, declaration := range shown {
			require.Contains(t, code, declaration, example)
		}
	}
}

// declarations returns the source of the types, methods and functions of a file, with their comments.
// It leaves out imports and the Example itself.
func declarations(t *testing.T, file string) (sources []string) {
	t.Helper()
	source, files := read(t, file), token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, declaration := range parsed.Decls {
		var doc *ast.CommentGroup
		switch d := declaration.(type) {
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			doc = d.Doc
		case *ast.FuncDecl:
			if strings.HasPrefix(d.Name.Name, "Example") {
				continue
			}
			doc = d.Doc
		}
		begin := declaration.Pos()
		if doc != nil {
			begin = doc.Pos()
		}
		sources = append(sources, source[files.Position(begin).Offset:files.Position(declaration.End()).Offset])
	}
	return sources
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
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
