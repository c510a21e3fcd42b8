package dbtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programs are what this test binary runs instead of tests if the environment names one: the other
// processes of the tests.
var programs = map[string]func(ctx context.Context, in programInput) error{
	"service": runService,
	"worker":  runWorker,
}

const programVariable = "RIVERQ_PROGRAM"

// programInput is what a program is told.
type programInput struct {
	Program  string
	Database string
	From, To int    // the tasks to start
	Spans    string // the file to write spans to
}

func TestMain(m *testing.M) {
	told := os.Getenv(programVariable)
	if told == "" {
		os.Exit(m.Run())
	}
	var in programInput
	err := json.Unmarshal([]byte(told), &in)
	if err == nil {
		err = programs[in.Program](context.Background(), in)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, in.Program+":", err)
		os.Exit(1)
	}
}

// A process is a program that runs.
type process struct {
	cmd    *exec.Cmd
	output *bufio.Scanner
}

// startProgram starts a program. It is killed at the end of the test if it still runs.
func startProgram(t *testing.T, in programInput) *process {
	t.Helper()
	told, err := json.Marshal(in)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"="+string(told))
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &process{cmd, bufio.NewScanner(output)}
}

// awaitLine waits for the next line of output, and decodes it.
func (p *process) awaitLine(t *testing.T, into any) {
	t.Helper()
	killer := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer killer.Stop()
	require.True(t, p.output.Scan(), "the program says something")
	require.NoError(t, json.Unmarshal(p.output.Bytes(), into), p.output.Text())
}

// terminate asks the process to end, as a deploy does.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// say writes a line of output.
func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }
