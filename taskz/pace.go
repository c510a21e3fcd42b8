package taskz

import (
	"sync"
	"time"
)

// A pace lets one caller pass each second, and the others wait in line. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	next time.Time // when the next caller may pass

	one sync.Mutex // held by the caller that passed, until it is done
}

// wait waits for the caller's turn. It returns errBusy at once if the line is too long.
func (p *pace) wait() error {
	const longest = patience / 2
	now := time.Now()
	p.mu.Lock()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	if turn.Sub(now) > longest {
		p.mu.Unlock()
		return errBusy
	}
	p.next = turn.Add(time.Second)
	p.mu.Unlock()
	time.Sleep(turn.Sub(now))
	return nil
}
