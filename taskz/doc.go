// Package taskz serves a live page of background tasks: what is running, since when, for whom,
// where it is blocked, and what became of the tasks that ended. It is for tasks what net/http/pprof
// is for goroutines. It imports the standard library and core only.
//
// # Usage
//
//	page := taskz.New(
//		taskz.WithTraceID(otelmw.TraceID),
//		taskz.WithTraceURL("http://localhost:16686/trace/{trace_id}"),
//	)
//	slog.SetDefault(slog.New(page.LogHandler(slog.NewJSONHandler(os.Stderr, nil))))
//	tasks := core.New(core.WithMiddleware(otelmw.New(), page.Middleware()))
//	mux.Handle("/debug/tasks/", page.Handler(tasks))
//
// [Page.Middleware] remembers how tasks ended, and [Page.Handler] shows it. [Page.LogHandler] wraps
// the program's [slog.Handler], so that the page has the last lines that each task logged. One Page
// serves one manager.
//
// # Addresses
//
// The handler works under any prefix that ends with a slash, and behind [http.StripPrefix]:
//
//	/debug/tasks/              the page
//	/debug/tasks/42            one task, while it runs and for some time after; see [Page.TaskPath]
//	/debug/tasks/stack?id=42   POST: where a running task is; see [core.Task.Stack] for what it costs. One
//	                           is taken a second, and its readers share it. With &instance=X7Q… it is
//	                           a 404 if the task is that of another process
//	/debug/tasks/cancel        POST, only with [WithCancel]
//
// A browser gets HTML, a program that accepts application/json gets JSON, and curl gets text. The
// parameter format (html, json or text) overrides that. The page takes these parameters, too:
//
//	q=WORDS      each word is the id, or part of the name, of an attribute as key=value, or of the error
//	name=NAME    tasks of that name
//	state=STATE  queued, running, cancelling or overdue
//	sort=KEY     age (the default: oldest first), name, state, or timeout (least of it left first);
//	             a minus before it reverses the order
//	limit=N      how many running tasks, and how many ended ones of each outcome, are listed: 0 to 1000; 200 in
//	             text and JSON, 50 on the page
//
// cancel takes a form with these fields, and answers with JSON that has the number of tasks that
// were told to stop, as cancelled:
//
//	name=NAME    required, also with an id, to be sure that it is the right task: 409 if it is another
//	id=ID        the task; without it, all running and queued tasks of that name
//	instance=X   optional: 409 if the tasks are those of another process
//
// An empty, repeated or unknown field, and a parameter in the address, is a 400 that cancels
// nothing: a form whose id got lost would stop all tasks of the name.
//
// A task that is not known (any more) is a 404, whose text says how long ended tasks are kept.
//
// # JSON
//
// A service that answered 202 finds out at /debug/tasks/42?instance=X7Q…&format=json how the task
// is doing. Ids count from 1 in every process. So build the address with [Page.TaskPath], which
// adds the instance: another process then answers 404, instead of showing a task of its own. The
// answer is for programs of yours: it shows errors, log lines and stacks, so don't pass it on to
// customers.
//
// A task has the fields of [core.TaskInfo]: id, name, state (once it has ended, its outcome),
// age_seconds, timeout, context (its attributes, all as text), done and overdue; and queue_seconds,
// run_seconds (null if it never ran), created_at, ended_at, cause (why it was cancelled or timed
// out), error, stack (of a panic), trace_id, trace_url and lines. Fields without a value are left
// out.
//
// The page has stats ([core.Stats]), running and ended (lists of tasks, with total and matching),
// names and over_time. In over_time a list has a value for each of the last forty slots of
// slot_seconds. p50 and p95 are read from a histogram, and up to a fifth too low or too high; of
// tasks that took more than 200 days they are a lower bound. max is exact. A stack has finding (a
// sentence), stack, and leaked if the parameter leaks=1 asked for it, which takes Go 1.27. Further
// fields may come in any release.
//
// # Values
//
// The LogValue, String, Error and MarshalJSON methods of attributes are called when a task ends, on
// its own goroutine, as a log handler calls them: one that blocks holds up the end of the task.
//
// For a task that has not ended they are called when somebody reads, on another goroutine, since
// they may need a lock that the task holds. After 100 ms, or two seconds for all tasks of an
// answer, the page shows "(LogValue does not return)", or "(not asked: …)", instead, and a search
// does not find the value. At most eight such goroutines are left behind, and a task is not asked
// again while its goroutine is there.
//
// # Security
//
// The page shows attributes, errors, log lines and stacks: serve it where pprof is served, not to
// customers. It only reads, unless [WithCancel] is given. It loads nothing from elsewhere, runs no
// inline script, and shows all text as text. An attribute that implements [slog.LogValuer] is shown
// as it redacts itself, also in a group. One inside a struct, a map or a slice is not asked, as in
// slog's own handlers. Requests that change something, or that stop the world for a stack, take a
// POST, and are refused if a browser sends them for a page of another origin. The Host header is
// not checked, as with pprof: a site whose name resolves to the address of the page (DNS rebinding)
// counts as the page's own.
//
// # Cost
//
// The end of a task takes about 1 µs more CPU time, and three allocations, 290 bytes in all, if it
// has attributes, none if it has not: with that an empty task takes twice the CPU time that it
// takes without the page (see bench/). Attributes that are structs or maps cost what it takes to
// marshal them to JSON.
//
// Readers share one snapshot a second. It and an answer take about 1 ms of CPU time with 1,000
// running tasks, 6 ms with 10,000 and 70 ms with 100,000; for a tenth of that no task starts or
// ends. With attributes that have methods a search takes 2 µs more for each task. Each different
// search is an answer of its own. Readers that are slow or gone hold up nothing.
//
// # Memory
//
// The page keeps 500 ended tasks of each outcome for 15 minutes ([WithRecent]). One takes about 0.5
// KiB, and 9 KiB at most, or 13 KiB with the stack of a panic: text is cut, attributes at 1 KiB a
// task, errors at 1 KiB, stacks at 4 KiB and log lines at 16 lines of 256 bytes. Log lines of at
// most 2,000 running tasks are kept. The plots take 30 KiB for each name, for at most 64 names and
// "other names". So it is at most 42 MiB in all, 2 MiB as a rule, and with [WithTraceID] about 50
// bytes for each running task. After a task's end the page keeps copies of text only, and none of
// its values.
//
// Reading takes memory, too. For one second after it was made, a snapshot is kept, of about 150
// bytes for each running task, and so are its tasks' values. So are answers, at most 16 MiB of
// them in all. An answer that is being made or sent, of which there may be more, takes 200 KiB as
// a rule, and at most 50 MiB: with limit=1000 and texts that JSON escapes.
package taskz
