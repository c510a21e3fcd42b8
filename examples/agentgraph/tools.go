package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"strings"

	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/components/tool/utils"
	"github.com/cloudwego/eino/compose"
)

// The tools.
const (
	toolFind = "find_declaration"
	toolRead = "read_doc"
)

type findInput struct {
	Name string `json:"name" jsonschema_description:"what is looked for"`
}

type readInput struct {
	File string `json:"file" jsonschema_description:"as find_declaration gives it"`
	Line int    `json:"line" jsonschema_description:"as find_declaration gives it"`
}

// A declaration is where something of the program is declared.
type declaration struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // func, method, type, var or const
	File string `json:"file"`
	Line int    `json:"line"`
}

// documented is a declaration with the first sentence of its comment.
type documented struct {
	declaration
	Doc string `json:"doc"`
}

// newTools returns the node that calls the tools. The source is parsed once.
func newTools(ctx context.Context, sources fs.FS) (*compose.ToolsNode, error) {
	code, err := parseSources(sources)
	if err != nil {
		return nil, err
	}
	find, err := utils.InferTool(toolFind, "finds where something is declared", code.find)
	if err != nil {
		return nil, err
	}
	read, err := utils.InferTool(toolRead, "reads what the comment of a declaration says", code.read)
	if err != nil {
		return nil, err
	}
	return compose.NewToolNode(ctx, &compose.ToolsNodeConfig{Tools: []tool.BaseTool{find, read}})
}

// code is all the declarations of the sources.
type code []documented

func (c code) find(_ context.Context, in findInput) ([]declaration, error) {
	found := []declaration{} // and not null
	for _, d := range c {
		if d.Name == in.Name {
			found = append(found, d.declaration)
		}
	}
	return found, nil
}

func (c code) read(_ context.Context, in readInput) (documented, error) {
	for _, d := range c {
		if d.File == in.File && d.Line == in.Line {
			return d, nil
		}
	}
	return documented{}, fmt.Errorf("nothing is declared at %s:%d", in.File, in.Line)
}

// parseSources reads the Go files in the folder, but not the tests.
func parseSources(sources fs.FS) (code, error) {
	files, err := fs.Glob(sources, "*.go")
	if err != nil {
		return nil, err
	}
	var all code
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(sources, name)
		if err != nil {
			return nil, err
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, name, text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parsing the source: %w", err)
		}
		for _, d := range file.Decls {
			all = appendDeclared(all, positions, d)
		}
	}
	return all, nil
}

func appendDeclared(all code, positions *token.FileSet, d ast.Decl) code {
	add := func(name *ast.Ident, kind string, comments ...*ast.CommentGroup) {
		at := positions.Position(name.Pos())
		found := documented{declaration: declaration{Name: name.Name, Kind: kind, File: at.Filename, Line: at.Line}}
		for _, c := range comments {
			if found.Doc == "" {
				found.Doc = new(doc.Package).Synopsis(c.Text())
			}
		}
		all = append(all, found)
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		kind := "func"
		if d.Recv != nil {
			kind = "method"
		}
		add(d.Name, kind, d.Doc)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				add(s.Name, "type", s.Doc, d.Doc)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					add(name, d.Tok.String(), s.Doc, s.Comment, d.Doc)
				}
			}
		}
	}
	return all
}
