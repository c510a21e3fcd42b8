package taskz

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// overTime has the figures of one name, or of all, over the last ten minutes.
type overTime struct {
	Started []uint32            `json:"started"` // in each slot, the oldest first
	Ended   map[string][]uint32 `json:"ended"`   // by outcome; an outcome that did not occur is left out
	WaitP95 []float64           `json:"wait_p95"`
	RunP50  []float64           `json:"run_p50"`
	RunP95  []float64           `json:"run_p95"`
	RunMax  []float64           `json:"run_max"`
	Wait    quantiles           `json:"wait"` // in the whole time
	Run     quantiles           `json:"run"`
}

type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	Max float64 `json:"max"`
}

func quantilesOf(h *histogram) quantiles {
	return quantiles{h.quantile(0.5).Seconds(), h.quantile(0.95).Seconds(), h.most.Seconds()}
}

// sums adds up series.
type sums struct {
	last  int64 // the slot of now
	slots [slots]slotFigures
}

func (s *sums) add(one *series) {
	for i := range one.slots {
		f := &one.slots[i]
		at := slots - 1 - (s.last - f.slot)
		if f.slot == 0 || at < 0 || at >= slots {
			continue
		}
		to := &s.slots[at]
		to.started += f.started
		for o, n := range f.ended {
			to.ended[o] += n
		}
		to.wait.merge(&f.wait)
		to.run.merge(&f.run)
	}
}

// addRunning counts the starts of tasks that have not ended.
func (s *sums) addRunning(started []int64) {
	for _, slot := range started {
		if at := slots - 1 - (s.last - slot); slot > 0 && at >= 0 && at < slots {
			s.slots[at].started++
		}
	}
}

// view returns the figures in the form of the JSON.
func (s *sums) view() *overTime {
	v := &overTime{Ended: make(map[string][]uint32)}
	var wait, run histogram
	for i := range s.slots {
		f := &s.slots[i]
		v.Started = append(v.Started, f.started)
		v.WaitP95 = append(v.WaitP95, f.wait.quantile(0.95).Seconds())
		v.RunP50 = append(v.RunP50, f.run.quantile(0.5).Seconds())
		v.RunP95 = append(v.RunP95, f.run.quantile(0.95).Seconds())
		v.RunMax = append(v.RunMax, f.run.most.Seconds())
		wait.merge(&f.wait)
		run.merge(&f.run)
		for o, n := range f.ended {
			if name := outcomeNames[o]; n > 0 {
				if v.Ended[name] == nil {
					v.Ended[name] = make([]uint32, slots)
				}
				v.Ended[name][i] = n
			}
		}
	}
	v.Wait, v.Run = quantilesOf(&wait), quantilesOf(&run)
	return v
}

// history returns copies of the series that have something to show.
func (m *memory) history(now int64) []*series {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Collect(maps.Values(m.series.named))
	all = append(all, &m.series.other)
	all = slices.DeleteFunc(all, func(s *series) bool { return s.last == 0 || s.last <= now-slots })
	for i, s := range all {
		copied := *s
		all[i] = &copied
	}
	slices.SortFunc(all, func(a, b *series) int { return strings.Compare(a.name, b.name) })
	return all
}

// seconds returns d for the JSON, rounded to microseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }
