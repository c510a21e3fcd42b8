package brokertest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a server of the tests. It can be killed, paused, and started again on the same port
// and data.
type process struct {
	args  []string
	env   []string
	ready func(context.Context) error // returns nil if the server takes commands

	cmd    *exec.Cmd
	output *output
	exited chan struct{}
}

// requireProgram returns the path of the first program that is installed. If there is none, it
// skips the test, or fails it if AFTERSPAN_REQUIRE_SERVICES is set.
func requireProgram(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("AFTERSPAN_REQUIRE_SERVICES") != "" {
		t.Fatalf("%s is not installed, and AFTERSPAN_REQUIRE_SERVICES is set", names[0])
	}
	t.Skipf("%s is not installed", names[0])
	return ""
}

// freeAddr returns an address on the loopback interface with a free port.
func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// startProcess starts p, and kills it at the end of the test.
func startProcess(t *testing.T, p *process) *process {
	t.Helper()
	p.start(t)
	t.Cleanup(func() { p.kill(t) })
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	p.output = &output{}
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals reach its children, too
	p.cmd.WaitDelay = time.Second                           // a child may keep the output open
	require.NoError(t, p.cmd.Start())
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	p.awaitReady(t)
}

func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%v ended:\n%s", p.args, p.output)
		case <-ctx.Done():
			t.Fatalf("%v takes no commands: %v\n%s", p.args, err, p.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// stop asks the process to end, and waits until it has.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		t.Fatalf("%v has not ended:\n%s", p.args, p.output)
	}
}

// pause halts the process until it is resumed. Its connections stay open, and it answers nothing.
func (p *process) pause(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGSTOP)
	for { // Kill does not wait until the threads have stopped; Wait4 does
		_, err := syscall.Wait4(p.cmd.Process.Pid, nil, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			require.NoError(t, err)
			return
		}
	}
}

func (p *process) resume() { p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// output keeps the output of a server.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
