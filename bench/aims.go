package main

// An aim says what a variant may cost at most, compared with its rival. A limit of 0 is none.
type aim struct {
	what, group string
	ours, rival string
	cpu         ratios
	memory      memory
}

// ratios limit the CPU time, as a multiple of the rival's, in the order of modes.
type ratios [3]float64

// A memory limits what is allocated by one goroutine.
type memory struct {
	allocs     float64
	moreAllocs float64 // than the rival
	moreBytes  float64 // than the rival
}

// aims are what the project wants to meet.
var aims = []aim{
	{"empty task", "empty", nameOurs, nameGo, ratios{2.2, 2.2, 2.5}, memory{allocs: 2}},
	{"empty task", "empty", nameOurs, nameHand, ratios{0.8, 0.8, 1.1}, memory{}},
	{"task with a timeout", "timeout", nameOurs, nameHand, ratios{0.6, 0.6, 0.8}, memory{}},
	{"timeout that is watched", "timeout", nameOursWatched, nameHandWatched, ratios{1, 1, 1}, memory{}},
	{"task that logs a line", "log", nameOurs, nameGo, ratios{0.6, 0.6, 0}, memory{}},
	{"task that logs a line", "log", nameOurs, nameHand, ratios{0, 0, 1}, memory{}},
	{"task that starts a child span", "child", nameOurs, nameGo, ratios{1, 1, 0}, memory{}},
	{"task that starts a child span", "child", nameOurs, nameHand, ratios{0, 0, 1.1}, memory{}},
	{"cancel and drain 1,000 parked tasks", "cancel", nameOurs, nameHand, ratios{2}, memory{}},
	{"Close with one parked task", "close", nameOurs, nameHand, ratios{3}, memory{}},
	{"parked task", "parked", nameOurs, nameGo, ratios{}, memory{moreBytes: 500}},
	{"empty task, " + nameMany, "million", nameMany, nameFew, ratios{1.3}, memory{}},
	{nameOneSpan, "otelmw", nameOneSpan, nameSpan, ratios{1.25, 1.25, 1.25}, memory{}},
	{nameBothSpans, "otelmw", nameBothSpans, nameSpan, ratios{1.8, 1.8, 1.8}, memory{}},
	{nameUnsampled, "otelmw", nameUnsampled, nameSpanUnsampled, ratios{1.3, 1.3, 1.3}, memory{}},
	{"job", "river", nameRiverq, nameRiver, ratios{1.2}, memory{}},
	{"job", "river", nameRiverq, nameOtelriver, ratios{1.1}, memory{}},
	{nameNoop, "otelmw", nameNoop, nameNoMiddleware, ratios{1.2, 1.2, 1.2}, memory{moreAllocs: 1}},
	{nameFiltered, "otelmw", nameFiltered, nameNoMiddleware, ratios{1.2, 1.2, 1.2}, memory{}},
	{namePage, "page", namePage, nameNoMiddleware, ratios{1.6, 1.6, 1.6}, memory{moreAllocs: 5}},
	{nameWatched, "page", nameWatched, nameNoMiddleware, ratios{1.8, 1.8, 1.8}, memory{}},
}

// keys returns what an aim compares in a mode.
func (a aim) keys(m mode) (ours, rival key) {
	return key{a.group, m.name, a.ours}, key{a.group, m.name, a.rival}
}
