package taskz

import (
	"strings"
	"time"
)

// The figures over time are kept in slots of 15 s, for the last ten minutes.
const (
	slotWidth = 15 * time.Second
	slots     = 40
	maxSeries = 64 // names; tasks of further names are counted as others
	others    = "other names"
)

// slot returns the number of the slot that at is in, counted from 1, or 0 for the zero time.
func (p *Page) slot(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return int64(at.Sub(p.start)/slotWidth) + 1
}

// A series has the figures of one name.
type series struct {
	name  string
	last  int64 // the slot of the last end
	slots [slots]slotFigures
}

type slotFigures struct {
	slot    int64 // 0: unused
	started uint32
	ended   [outcomes]uint32
	wait    histogram
	run     histogram
}

// at returns the figures of a slot, or nil if the slot is too old.
func (s *series) at(slot int64) *slotFigures {
	f := &s.slots[slot%slots]
	if f.slot > slot {
		return nil
	}
	if f.slot < slot {
		*f = slotFigures{slot: slot}
	}
	return f
}

// count counts the end of a task, and its start.
func (s *series) count(r *record, ended, started int64) {
	s.last = max(s.last, ended)
	if f := s.at(ended); f != nil {
		f.ended[r.outcome]++
		if r.id != 0 { // the manager accepted it
			f.wait.add(r.wait())
		}
		if started > 0 {
			f.run.add(r.duration())
		}
	}
	if started <= ended-slots || started <= 0 {
		return
	}
	if f := s.at(started); f != nil {
		f.started++
	}
}

// seriesTable has the series of all names, a bounded number. memory.mu guards it.
type seriesTable struct {
	named map[string]*series
	other series
	swept int64 // the slot in which idle names were last looked for
}

func (t *seriesTable) init() {
	t.named = make(map[string]*series)
	t.other.name = others
}

// of returns the series of a name. When there are too many names, a name that was idle for ten
// minutes makes room.
func (t *seriesTable) of(name string, now int64) *series {
	if s, ok := t.named[name]; ok {
		return s
	}
	if len(name) > maxName {
		return &t.other
	}
	if len(t.named) >= maxSeries && !t.dropIdle(now) {
		return &t.other
	}
	s := &series{name: strings.ToValidUTF8(strings.Clone(name), "\uFFFD")}
	t.named[strings.Clone(name)] = s
	return s
}

// dropIdle drops idle names, once in a slot, and reports whether it found any.
func (t *seriesTable) dropIdle(now int64) (found bool) {
	if t.swept == now {
		return false
	}
	t.swept = now
	for name, s := range t.named {
		if s.last <= now-slots {
			delete(t.named, name)
			found = true
		}
	}
	return found
}
