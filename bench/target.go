package main

// A target is what is compared with what, and how it is meant to come out.
type target struct {
	what, versus string
	ours, rival  key // the mode is set by in, unless it is set here
	modes        []string
	cpu          float64 // the ratio of the CPU time, at most; 0: none is aimed at
	allocs       float64 // at most, if not 0
	moreAllocs   float64 // than the rival's, at most, if not 0
}

func modeNames(modes ...mode) (names []string) {
	for _, m := range modes {
		names = append(names, m.name)
	}
	return names
}

// against is a target within a group, in all its modes.
func against(group, what, ours, versus, rival string, cpu float64) target {
	return target{
		what: what, versus: versus,
		ours: key{group, "", ours}, rival: key{group, "", rival},
		modes: modeNames(oneGoroutine, allCores, oneAtATime),
		cpu:   cpu,
	}
}

func (t target) withAllocs(most float64) target     { t.allocs = most; return t }
func (t target) withMoreAllocs(most float64) target { t.moreAllocs = most; return t }

// maxParked is how many bytes a parked task may take beyond its goroutine.
const maxParked = 400

// targets are those that the project has set itself, and some comparisons beside them.
func targets() []target {
	const timeoutGo, watchedGo = "bare `go` with `WithTimeout`", "the same with bare `go`"
	return []target{
		against("empty", "empty task", nameOurs, nameGo, nameGo, 1.5).withAllocs(2),
		against("empty", "empty task", nameOurs, nameHand, nameHand, 0.7),
		against("empty", "empty task, context of a request", nameOursRequest, nameGo, nameGo, 0),
		against("empty", "empty task, a closure each", nameOursOwn, "the same with bare `go`", nameGoOwn, 0),
		against("empty", "empty task, a closure each", nameOursOwn, "the same by hand", nameHandOwn, 0),
		against("empty", "empty task, timeout", nameOursTimed, nameGo, nameGo, 2.5).withAllocs(3),
		against("empty", "empty task, timeout", nameOursTimed, timeoutGo, nameGoTimed, 0),
		against("empty", "empty task, timeout", nameOursTimed, "the same by hand", nameHandTimed, 0.3),
		against("empty", "timeout that is watched", nameOursWatched, watchedGo, nameGoWatched, 0),
		against("empty", "timeout that is watched", nameOursWatched, "the same by hand", nameHandWatched, 0),
		against("work", "1 µs of work", nameOurs, nameGo, nameGo, 1.2),
		against("work", "1 µs of work", nameOurs, nameHand, nameHand, 0),
		against("log", "a task that logs a line", nameOurs, nameGo, nameGo, 1),
		against("log", "a task that logs a line", nameOurs, nameHand, nameHand, 0),
		against("child", "a task that starts a child span", nameOurs, nameGo, nameGo, 1),
		against("child", "a task that starts a child span", nameOurs, nameHand, nameHand, 0),
		against("tracing", "otelmw, sampled, WithoutSpawnSpan", nameOtelOne, nameSpanSampled, nameSpanSampled, 1),
		against("tracing", "otelmw, sampled", nameOtel, nameSpanSampled, nameSpanSampled, 1.6),
		against("tracing", "otelmw, sampled, and metrics", nameOtelMetrics, nameSpanSampled, nameSpanSampled, 0),
		against("tracing", "otelmw, not sampled", nameOtelUnsampled, nameSpanUnsampled, nameSpanUnsampled, 0.6),
		against("tracing", "otelmw, no-op providers", nameOtelNoop, "no middleware", nameNoMiddleware, 1.3).withMoreAllocs(1),
		against("tracing", "otelmw, no-op providers, no spawner", nameOtelNoopPlain, "no middleware", nameNoMwPlain, 1.3).withMoreAllocs(1),
	}
}

// crowdedTarget is about a short task with so many in flight.
func crowdedTarget(many int) target {
	mode := func(n int) string { return thousands(n) + inFlight }
	return target{
		what: "empty task, " + mode(many), versus: mode(someInFlight),
		ours: key{groupCrowded, mode(many), nameOurs}, rival: key{groupCrowded, mode(someInFlight), nameOurs},
		modes: []string{oneGoroutine.name}, cpu: 1.3,
	}
}
