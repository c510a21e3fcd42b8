// Package tailsampling tests what the collector's tail sampling processor keeps of tasks and of the
// requests that started them.
//
// It is a module of its own, which nobody imports and which is not in go.work: the processor requires
// two hundred modules. Run it by itself:
//
//	GOWORK=off go -C otelmw/internal/tailsampling test ./...
package tailsampling
