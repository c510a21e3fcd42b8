package taskz

import (
	"strings"
	"sync"
	"time"
)

// memory has the ended tasks and the figures over time. No user code runs while its lock is held.
type memory struct {
	mu     sync.Mutex
	rings  [outcomes]ring
	series seriesTable
}

func (m *memory) init(recent int) {
	for i := range m.rings {
		m.rings[i].most = recent
	}
	m.series.init()
}

// add remembers r, which ended in slot ended and started in slot started (0: it never ran).
func (m *memory) add(r *record, ended, started int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.series.of(r.name, ended)
	s.count(r, ended, started)
	m.keep(r, s.name)
}

// addAbandoned remembers r, which has not ended.
func (m *memory) addAbandoned(r *record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(r, "")
}

// keep puts r into its ring. known is the name of r's series, which is shared, so that most names
// are not copied. m.mu is held.
func (m *memory) keep(r *record, known string) {
	if r.name = cut(r.name, maxName); r.name == known {
		r.name = known
	} else {
		r.name = strings.Clone(r.name)
	}
	m.rings[r.outcome].add(*r)
}

// recent returns copies of the ended tasks of an outcome that ended after since, the last first.
func (m *memory) recent(o outcome, since time.Time) []record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rings[o].list(since)
}

// find returns the ended task with that id. If it was abandoned first, the record of its end is
// returned.
func (m *memory) find(id uint64, since time.Time) (r *record, ok bool) {
	for o := range outcome(outcomes) {
		for _, r := range m.recent(o, since) {
			if r.id == id && id != 0 {
				return &r, true
			}
		}
	}
	return nil, false
}

// A ring has the last records of one outcome. They are values: a task costs no allocation for its
// record.
type ring struct {
	most    int
	records []record
	next    int // where the next record goes, once the ring is full
}

func (r *ring) add(one record) {
	if len(r.records) < r.most {
		r.records = append(r.records, one)
		return
	}
	r.records[r.next] = one
	r.next = (r.next + 1) % r.most
}

// list returns the records that ended after since, the last first. It clears the others.
func (r *ring) list(since time.Time) []record {
	n := len(r.records)
	all := make([]record, 0, n)
	for i := range n {
		one := &r.records[(r.next+n-1-i)%n]
		if one.ended.After(since) {
			all = append(all, *one)
		} else {
			*one = record{}
		}
	}
	return all
}
