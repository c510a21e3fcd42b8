package program

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const asProgram = "AFTERSPAN_TEST_RUN_PROGRAM"

// TestMain is the program where a test starts itself as that.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		Main("tested", behave)
		return
	}
	os.Exit(m.Run())
}

// behave does what the first argument says.
func behave(ctx context.Context, args []string, stdout, _ io.Writer) error {
	switch args[0] {
	case "help":
		return fmt.Errorf("parsing: %w", flag.ErrHelp)
	case "fail":
		return errors.New("no luck")
	case "wait":
		fmt.Fprintln(stdout, "waits")
		<-ctx.Done()
		fmt.Fprintln(stdout, "was interrupted")
		if len(args) > 1 {
			time.Sleep(time.Hour) // it does not end by itself
		}
	}
	return nil
}

func command(t *testing.T, args ...string) *exec.Cmd {
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

func TestExit(t *testing.T) {
	for arg, want := range map[string]struct {
		code   int
		stderr string
	}{
		"succeed": {0, ""}, "help": {0, ""}, "fail": {1, "tested: no luck\n"},
	} {
		t.Run(arg, func(t *testing.T) {
			cmd := command(t, arg)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run()
			assert.Equal(t, want.code, cmd.ProcessState.ExitCode())
			assert.Equal(t, want.stderr, stderr.String())
		})
	}
}

// The first signal ends the context, the second one the process.
func TestSignals(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, args := range [][]string{{"wait"}, {"wait", "for ever"}} {
			t.Run(fmt.Sprint(signal, args), func(t *testing.T) {
				cmd := command(t, args...)
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				lines := bufio.NewScanner(out)
				require.True(t, lines.Scan())
				require.NoError(t, cmd.Process.Signal(signal))
				require.True(t, lines.Scan())
				assert.Equal(t, "was interrupted", lines.Text())
				if len(args) == 1 {
					assert.NoError(t, cmd.Wait())
					return
				}
				// AfterFunc runs beside behave: until it has, a signal is only one more of the first kind.
				ended := make(chan struct{})
				go func() { _ = cmd.Wait(); close(ended) }()
				require.Eventually(t, func() bool {
					_ = cmd.Process.Signal(signal)
					select {
					case <-ended:
						return true
					default:
						return false
					}
				}, time.Minute, 10*time.Millisecond)
				<-ended
				assert.Equal(t, signal, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
			})
		}
	}
}
