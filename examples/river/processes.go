package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// run is the parent process or, with an argument, one of its children.
func run(ctx context.Context, args []string, stdout, _ io.Writer) error {
	switch strings.Join(args, " ") {
	case "api":
		return runAPI(ctx, stdout)
	case "worker":
		return runWorker(ctx, stdout)
	default:
		return direct(ctx, stdout)
	}
}

// direct starts the others, kills one, and waits until all jobs are done.
func direct(ctx context.Context, out io.Writer) (err error) {
	db, err := createDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.drop()) }()
	stage := &stage{out: out, url: db.url}
	defer stage.clear()

	victim, err := stage.start("worker 1", "worker")
	if err != nil {
		return err
	}
	if err := victim.await(ctx, "ready"); err != nil {
		return err
	}
	if _, err := stage.start("worker 2", "worker"); err != nil {
		return err
	}
	api, err := stage.start("api", "api")
	if err != nil {
		return err
	}
	if err := victim.await(ctx, "began"); err != nil {
		return err
	}
	stage.say("kill -9 of worker 1. River takes its job over when it has been running for %v (an hour by default)", rescueAfter)
	_ = victim.cmd.Process.Kill()
	stage.say("SIGTERM for the api")
	_ = api.cmd.Process.Signal(syscall.SIGTERM)
	if err := api.await(ctx, "stopped"); err != nil {
		return err
	}
	return awaitJobs(ctx, db)
}

// awaitJobs waits until all jobs are completed.
func awaitJobs(ctx context.Context, db *database) error {
	for {
		open, err := db.openJobs(ctx)
		if err != nil || open == 0 {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A stage has the processes, and prints what they say.
type stage struct {
	out  io.Writer
	url  string // of the database
	cast []*player

	mu sync.Mutex // one line after another
}

// A player is a process.
type player struct {
	cmd   *exec.Cmd
	lines chan string // what it says
	ended chan struct{}
}

func (s *stage) start(name, role string) (*player, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &player{exec.Command(program, role), make(chan string, 1000), make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "DATABASE_URL="+s.url)
	p.cmd.Stderr = os.Stderr
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	s.cast = append(s.cast, p)
	go func() {
		defer close(p.ended)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			s.say("%-8s | %s", name, scanner.Text())
			p.lines <- scanner.Text()
		}
		_ = p.cmd.Wait()
	}()
	return p, nil
}

func (s *stage) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// clear ends all processes that still run.
func (s *stage) clear() {
	for _, p := range s.cast {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.ended
	}
}

// await waits for a line with that word.
func (p *player) await(ctx context.Context, word string) error {
	for {
		select {
		case line := <-p.lines:
			if strings.Contains(line, word) {
				return nil
			}
		case <-p.ended:
			return fmt.Errorf("%v ended before it said %q", p.cmd.Args, word)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
