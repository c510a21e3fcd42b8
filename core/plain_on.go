//go:build afterspan_plain

package core

// plain turns off what is there for speed alone, so that the tests can be run against the form that is easy to believe: a goroutine for
// each task, that ends with it, and the standard library's contexts, made at once.
//
//	go test -tags afterspan_plain ./core
const plain = true
