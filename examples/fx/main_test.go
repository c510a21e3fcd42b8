package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
)

// TestMain is the program where a test starts itself as that.
func TestMain(m *testing.M) {
	if os.Getenv("AFTERSPAN_TEST_RUN_FX") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "AFTERSPAN_TEST_RUN_FX=1")
	return cmd
}

var serving = regexp.MustCompile(`msg=serving addr=(\S+)`)

func servingAddr(t *testing.T, log string) string {
	t.Helper()
	found := serving.FindStringSubmatch(log)
	require.NotNil(t, found, log)
	return found[1]
}

// A SIGTERM comes right after an order, and its receipt is sent all the same.
func TestProgram(t *testing.T) {
	cmd := program(t, "-addr", "127.0.0.1:0", "-mail", "50ms")
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	out := bufio.NewReader(pipe)
	first, err := out.ReadString('\n')
	require.NoError(t, err)
	answer, err := http.Post("http://"+servingAddr(t, first)+"/orders?to=ada@example.com", "", nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusAccepted, answer.StatusCode)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
	inOrderOf(t, string(rest), append([]string{"server stopped"}, atTheStop...)...)
	assert.Equal(t, 4, strings.Count(string(rest), "msg=span"), string(rest))
}

func TestProgramThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"-addr", taken.Addr().String()}, syscall.EADDRINUSE.Error(), 1},
		{[]string{"-unknown"}, "-unknown", 2},
	} {
		out, err := program(t, tt.args...).CombinedOutput()
		var exit *exec.ExitError
		require.True(t, errors.As(err, &exit), string(out))
		assert.Equal(t, tt.code, exit.ExitCode(), string(out))
		assert.Contains(t, string(out), tt.want)
		assert.NotContains(t, string(out), "main.main", "the stack of a panic")
	}
}

func TestExitCode(t *testing.T) {
	for name, test := range map[string]struct {
		onStop error
		want   int
	}{"as asked for": {nil, 3}, "a hook fails": {errors.New("it does not stop"), 1}} {
		t.Run(name, func(t *testing.T) {
			app := fx.New(fx.NopLogger, fx.Invoke(func(lc fx.Lifecycle, sd fx.Shutdowner) {
				lc.Append(fx.Hook{
					OnStart: func(context.Context) error { return sd.Shutdown(fx.ExitCode(3)) },
					OnStop:  func(context.Context) error { return test.onStop },
				})
			}))
			assert.Equal(t, test.want, run(app))
		})
	}
}
