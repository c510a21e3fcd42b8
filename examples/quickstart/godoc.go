package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// goSections returns the doc comments of a Go file: that of its package, and those of what it exports.
// A file that does not parse gives what was understood of it.
func goSections(file string, content []byte) []section {
	positions := token.NewFileSet()
	tree, _ := parser.ParseFile(positions, file, content, parser.ParseComments|parser.SkipObjectResolution)
	if tree == nil {
		return nil
	}
	var sections []section
	add := func(title string, doc *ast.CommentGroup) {
		if doc != nil {
			sections = append(sections, splitSections(file, title, commentLines(positions, doc))...)
		}
	}
	pkg := tree.Name.Name
	add("package "+pkg, tree.Doc)
	for _, decl := range tree.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if name := funcName(decl); isExported(name) {
				add(pkg+"."+name, decl.Doc)
			}
		case *ast.GenDecl:
			addSpecs(decl, pkg, add)
		}
	}
	return sections
}

// addSpecs adds the types, variables and constants of a declaration. The doc of a group goes by its first name.
func addSpecs(decl *ast.GenDecl, pkg string, add func(title string, doc *ast.CommentGroup)) {
	for i, spec := range decl.Specs {
		name, doc := specDoc(spec)
		if !isExported(name) {
			continue
		}
		if i == 0 {
			add(pkg+"."+name, decl.Doc)
		}
		add(pkg+"."+name, doc)
	}
}

func specDoc(spec ast.Spec) (name string, doc *ast.CommentGroup) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		return spec.Name.Name, spec.Doc
	case *ast.ValueSpec:
		return spec.Names[0].Name, spec.Doc
	default: // an import
		return "", nil
	}
}

// funcName returns a function's name, with that of its receiver's type before it.
func funcName(decl *ast.FuncDecl) string {
	if decl.Recv == nil || len(decl.Recv.List) == 0 {
		return decl.Name.Name
	}
	receiver := decl.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if ident, ok := receiver.(*ast.Ident); ok {
		return ident.Name + "." + decl.Name.Name
	}
	return decl.Name.Name // a generic type: rare enough
}

func isExported(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if !ast.IsExported(part) {
			return false
		}
	}
	return true
}

// commentLines returns the lines of a comment without its marks.
func commentLines(positions *token.FileSet, doc *ast.CommentGroup) []line {
	var lines []line
	for _, comment := range doc.List {
		number := positions.Position(comment.Pos()).Line
		text := strings.TrimPrefix(comment.Text, "//")
		text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
		for l := range strings.SplitSeq(text, "\n") {
			lines = append(lines, line{number, strings.TrimPrefix(l, " ")})
			number++
		}
	}
	return lines
}
