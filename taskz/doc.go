// Package taskz serves a live page of background tasks: what is running, since when, for whom, where it
// is blocked, and what became of the tasks that ended. It is for tasks what net/http/pprof is for
// goroutines. It imports the standard library and core only.
//
// # Usage
//
//	page := taskz.New(taskz.WithTraceID(otelmw.TraceID), taskz.WithTraceURL("http://localhost:16686/trace/{trace_id}"))
//	tasks := core.New(core.WithMiddleware(otelmw.New(), page.Middleware()))
//	mux.Handle("/debug/tasks/", page.Handler(tasks))
//
// [Page.Middleware] remembers how tasks ended, and [Page.Handler] shows it. [Page.LogHandler] wraps the
// program's [slog.Handler], so that the page has the last lines that each task logged. One Page serves
// one manager.
//
// # Addresses
//
// The handler works under any prefix that ends with a slash, and behind [http.StripPrefix]:
//
//	/debug/tasks/              the page
//	/debug/tasks/42            one task, while it runs and for some time after
//	/debug/tasks/stack?id=42   where a running task is; see [core.Task.Stack] for what it costs
//	/debug/tasks/cancel        POST, only with [WithCancel]
//
// A browser gets HTML, a program that accepts application/json gets JSON, and curl gets text. The
// parameter format (html, json or text) overrides that. The page takes these parameters, too:
//
//	q=WORDS      each word is part of the name or of key=value of an attribute, or is the id
//	name=NAME    tasks of that name
//	state=STATE  queued, running, cancelling or overdue
//	sort=KEY     age (the default: oldest first), name, state, or timeout (the share that is used up);
//	             with a minus before it, the other way round
//	limit=N      how many running tasks, and ended ones of each outcome, are listed: 200, at most 1000
//
// So a service that answered 202 can point its client to /debug/tasks/42?format=json. The state of an
// ended task is its outcome. A task that is not known (any more) is a 404, whose text says how long
// ended tasks are kept.
//
// # Security
//
// The page shows attributes, errors, log lines and stacks: serve it where pprof is served, not to
// customers. It only reads, unless [WithCancel] is given. It loads nothing from elsewhere, runs no
// inline script, and shows all text as text. Values that implement [slog.LogValuer] are shown as they
// redact themselves. Requests that change something, or that stop the world for a stack, are refused
// if a browser sends them for a page of another origin.
//
// # Cost
//
// A task costs about 1 µs of CPU time more when it ends, and three allocations of 270 bytes if it has
// attributes, none if it has not: twice the CPU time of an empty task (see bench/). Attributes that are structs or maps cost what it takes to
// marshal them to JSON.
//
// A reader costs a snapshot of all tasks a second, which all readers share: about 20 to 40 ms of CPU time
// with 100,000 running tasks, and 2 ms with 10,000. Readers that are slow or gone hold up nothing.
//
// # Memory
//
// The page keeps 500 ended tasks of each outcome for 15 minutes ([WithRecent]). One takes about 0.5
// KiB, and 9 KiB at most, or 13 KiB with the stack of a panic: text is cut, attributes at 1 KiB a task,
// errors at 1 KiB, stacks at 4 KiB and log lines at 16 lines of 256 bytes. Log lines of at most 2,000
// running tasks are kept. The plots take 25 KiB for each name, for at most 64 names and "other names". So
// it is at most 42 MiB in all, 2 MiB as a rule, and with [WithTraceID] about 50 bytes for each running
// task. Nothing of a task's own, such as a value of an attribute, is kept alive after its end.
package taskz
