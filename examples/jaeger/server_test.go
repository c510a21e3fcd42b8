package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A jaeger is a server that one test has for itself.
type jaeger struct {
	ui   string // URL of its pages and of its query API
	otlp string // URL that it takes spans at
}

// startJaeger starts a Jaeger that keeps its traces in memory, and returns when it answers.
func startJaeger(t *testing.T) jaeger {
	t.Helper()
	query, otlp := freeAddrs(t)
	var log bytes.Buffer
	server := exec.Command(jaegerProgram(t), "--config", "testdata/jaeger.yaml")
	server.Env = append(os.Environ(), "JAEGER_QUERY_ADDR="+query, "JAEGER_OTLP_ADDR="+otlp)
	server.Stdout, server.Stderr = &log, &log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("Jaeger's log:\n%s", log.String())
		}
	})
	j := jaeger{ui: "http://" + query, otlp: "http://" + otlp}
	for _, url := range []string{j.ui, j.otlp} {
		require.Eventually(t, func() bool { return answers(url) }, time.Minute, 20*time.Millisecond, "Jaeger does not start")
	}
	return j
}

func answers(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil
}

// freeAddrs returns two addresses on loopback that nobody listens at.
func freeAddrs(t *testing.T) (a, b string) {
	t.Helper()
	var addrs [2]string
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close() // after both are known, so that they differ
		addrs[i] = l.Addr().String()
	}
	return addrs[0], addrs[1]
}

// jaegerProgram returns the path of a Jaeger 2: the one that AFTERSPAN_JAEGER names, or that is installed, or, where the tests
// of servers must not be skipped, one that is built from internal/jaeger.
func jaegerProgram(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("AFTERSPAN_JAEGER"); program != "" {
		return program
	}
	if program, err := exec.LookPath("jaeger"); err == nil {
		return program
	}
	if os.Getenv("AFTERSPAN_REQUIRE_SERVICES") == "" {
		t.Skip("jaeger is not installed: see AFTERSPAN_JAEGER and AFTERSPAN_REQUIRE_SERVICES in the README")
	}
	return builtJaeger(t)
}

const jaegerModule = "github.com/jaegertracing/jaeger"

// builtJaeger builds Jaeger, which takes minutes, unless it was built before. The program stays in the user's cache.
func builtJaeger(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	version := goTool(t, "list", "-m", "-f", "{{.Version}}", jaegerModule)
	program := filepath.Join(cache, "afterspan", "jaeger-"+version)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	t.Logf("building Jaeger %s into %s", version, program)
	// Built beside its place and moved there, so that a build that was broken off leaves nothing that looks like one.
	unfinished := fmt.Sprintf("%s.%d", program, os.Getpid())
	goTool(t, "build", "-trimpath", "-ldflags=-s -w", "-o", unfinished, jaegerModule+"/cmd/jaeger")
	require.NoError(t, os.Rename(unfinished, program))
	return program
}

// goTool runs the go command in the module that requires Jaeger, which is not in the workspace.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.FromSlash("../../internal/jaeger")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), stderr.String())
	return strings.TrimSpace(stdout.String())
}
