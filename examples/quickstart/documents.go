package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// errNoDocuments is what the agent fails with where there is nothing to read.
var errNoDocuments = errors.New("nothing to read: want *.md files, or Go files with doc comments")

// A section is what stands beneath one heading of a Markdown file, or the doc comment of one Go declaration.
type section struct {
	file      string // slash-separated, relative to the folder
	title     string
	sentences []sentence
}

// A sentence is what the agent quotes.
type sentence struct {
	text string
	line int
}

// listFiles returns the documents beneath the folder, in lexical order.
func listFiles(ctx context.Context, docs fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(docs, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && isSkipped(file):
			return fs.SkipDir
		case entry.Type().IsRegular() && isDocument(file):
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the documents: %w", err)
	}
	return files, nil
}

func isDocument(file string) bool {
	return strings.HasSuffix(file, ".md") ||
		strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go")
}

// isSkipped tells the directories that the go command skips, too, and those that are not about the library.
func isSkipped(dir string) bool {
	switch base := path.Base(dir); base {
	case ".":
		return false
	case "testdata", "vendor", "node_modules", "examples":
		return true
	default:
		return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
	}
}

// readSections reads the documents and takes them apart.
func readSections(ctx context.Context, docs fs.FS, files []string) ([]section, error) {
	var sections []section
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		content, err := fs.ReadFile(docs, file)
		if err != nil {
			return nil, fmt.Errorf("reading a document: %w", err)
		}
		if strings.HasSuffix(file, ".go") {
			sections = append(sections, goSections(file, content)...)
		} else {
			sections = append(sections, markdownSections(file, content)...)
		}
	}
	if len(sections) == 0 {
		return nil, errNoDocuments
	}
	return sections, nil
}
