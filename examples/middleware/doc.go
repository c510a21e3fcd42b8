// Package middleware has middlewares to read, copy and change: what services put around their background tasks, each
// written on a well-kept library, or on the standard one. Each file is one of them, and says where in the chain it
// belongs and why. From the root of the repository:
//
//	go test -v ./examples/middleware
//
// What holds for all of them:
//
//   - A panic further in arrives as an ordinary error, a [*core.PanicError], so no file has a recover.
//   - After runtime.Goexit further in, next does not return. What must happen on every way out is deferred.
//   - A task that was cancelled while it waited in the manager's queue passes the chain all the same, with its context
//     done and its Func left out.
//   - What waits in a middleware waits inside the run: it holds a goroutine and a slot of the manager
//     ([core.WithLimit]), and the task's timeout counts.
package middleware
