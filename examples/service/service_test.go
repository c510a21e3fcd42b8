package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const asService = "AFTERSPAN_EXAMPLE_SERVICE"

// TestMain is the program where a test starts it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const (
	longest = 20 * time.Second // what a test waits for at most
	tick    = 5 * time.Millisecond
)

// A process is the service as it runs in production: with a socket, an environment and signals.
type process struct {
	t           *testing.T
	cmd         *exec.Cmd
	public, ops string // URLs
	exited      chan struct{}
	stderr      strings.Builder

	mu    sync.Mutex
	lines []line
}

// A line is one of its log.
type line map[string]any

func (l line) msg() string { return fmt.Sprint(l["msg"]) }

// task returns what the group "task" of a line has under key.
func (l line) task(key string) string {
	group, _ := l["task"].(map[string]any)
	if value, ok := group[key]; ok {
		return fmt.Sprint(value)
	}
	return ""
}

// startService starts the service on free ports, and returns when it listens. It exports to r, if that is not nil.
func startService(t *testing.T, r *receiver, args ...string) *process {
	t.Helper()
	p := startProcess(t, r, append([]string{"-addr", "127.0.0.1:0", "-ops-addr", "127.0.0.1:0"}, args...)...)
	p.public, p.ops = p.listening("public"), p.listening("ops")
	return p
}

func startProcess(t *testing.T, r *receiver, args ...string) *process {
	t.Helper()
	p := &process{t: t, exited: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asService+"=1")
	if r != nil {
		p.cmd.Env = append(p.cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.url(), "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
	}
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.follow(stdout)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// follow keeps the lines of the log until the process has exited.
func (p *process) follow(stdout io.Reader) {
	defer close(p.exited)
	scanner := bufio.NewScanner(stdout)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var l line
		assert.NoError(p.t, json.Unmarshal(scanner.Bytes(), &l), scanner.Text())
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
}

// log returns the lines so far that fit.
func (p *process) log(fits func(line) bool) (found []line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if fits(l) {
			found = append(found, l)
		}
	}
	return found
}

// await waits for a line that fits, and returns the first.
func (p *process) await(fits func(line) bool) (first line) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		if found := p.log(fits); len(found) > 0 {
			first = found[0]
			return true
		}
		return false
	}, longest, tick)
	return first
}

func (p *process) listening(server string) (url string) {
	p.t.Helper()
	l := p.await(func(l line) bool { return l.msg() == "listening" && l["server"] == server })
	return fmt.Sprint("http://", l["addr"])
}

// order sends an order, and returns the answer.
func (p *process) order(id string, what trouble) receipt {
	p.t.Helper()
	status, answer := p.post(id, what)
	require.Equal(p.t, http.StatusAccepted, status)
	return answer
}

// post sends an order, and returns the answer, whatever it is.
func (p *process) post(id string, what trouble) (status int, answer receipt) {
	p.t.Helper()
	body, err := json.Marshal(order{ID: id, Trouble: what})
	require.NoError(p.t, err)
	response, err := http.Post(p.public+"/orders", "application/json", strings.NewReader(string(body)))
	require.NoError(p.t, err)
	defer response.Body.Close()
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&answer))
	return response.StatusCode, answer
}

// get returns the status and the body of something that the ops server has, and 0 once that is gone.
func (p *process) get(path string) (status int, body string) {
	p.t.Helper()
	response, err := http.Get(p.ops + path)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	assert.NoError(p.t, err)
	return response.StatusCode, string(content)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// exitCode waits for the end of the process.
func (p *process) exitCode() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(longest):
		require.Fail(p.t, "the process does not exit")
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the process, in order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.Zero(p.t, p.exitCode(), p.stderr.String())
}
