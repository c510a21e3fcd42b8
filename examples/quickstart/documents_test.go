package main

import (
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadSections(t *testing.T) {
	docs := os.DirFS(testFolder)
	files, err := listFiles(t.Context(), docs)
	require.NoError(t, err)
	assert.Equal(t, []string{"guide.md", "lib/lib.go", "shutdown.md"}, files)

	sections, err := readSections(t.Context(), docs, files)
	require.NoError(t, err)
	var got []string
	for _, s := range sections {
		for _, one := range s.sentences {
			got = append(got, fmt.Sprintf("%s | %s:%d %s", s.title, s.file, one.line, one.text))
		}
	}
	assert.Equal(t, []string{
		"Guide | guide.md:3 A kettle boils water.",
		"Guide | guide.md:3 See the manual for more.",
		"Filling | guide.md:9 Fill the kettle with cold water, e.g. from the tap, up to the mark.",
		"Filling | guide.md:11 Close the lid.",
		"Filling | guide.md:11 Then switch it on.",
		"package lib | lib/lib.go:1 Package lib drives a kettle.",
		"lib.Valve | lib/lib.go:4 A Valve lets steam out.",
		"lib.Valve | lib/lib.go:4 Valve.Open is all it can do.",
		"lib.Valve.Open | lib/lib.go:9 Open opens the valve.",
		"lib.LampOn | lib/lib.go:15 The states of a lamp.",
		"lib.LampOn | lib/lib.go:17 LampOn is lit.",
		"shutdown.md | shutdown.md:1 Before the first heading.",
		"Shutdown under pressure | shutdown.md:5 " + testSentence,
		"Shutdown under pressure | shutdown.md:8 The lamp goes out last.",
	}, got)
}

func TestListFilesSkips(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("Text.")}
	files, err := listFiles(t.Context(), fstest.MapFS{
		"README.md": file, "docs/a.md": file, "core/task.go": file, "core/task_test.go": file, "image.png": file,
		".git/a.md": file, "_old/a.md": file, "vendor/a.md": file, "testdata/a.md": file, "node_modules/x/a.md": file,
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"README.md", "core/task.go", "docs/a.md"}, files)
}

func TestBrokenGoFileGivesWhatItCan(t *testing.T) {
	assert.Empty(t, goSections("a.go", nil))
	sections := goSections("a.go", []byte("// Package a is fine.\npackage a\n\nfunc broken( {\n"))
	require.Len(t, sections, 1)
	assert.Equal(t, "Package a is fine.", sections[0].sentences[0].text)
}
