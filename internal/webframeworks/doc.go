// Package webframeworks tests what docs/web-frameworks.md says about gin, echo and fiber.
//
// It is a module of its own, which nobody imports and which is not in go.work: the frameworks
// require some sixty modules. Run it by itself:
//
//	GOWORK=off go -C internal/webframeworks test ./...
package webframeworks
