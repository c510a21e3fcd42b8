package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	dashboardFile = "../../docs/grafana-dashboard.json"
	alertsFile    = "../../docs/alerts.yaml"

	// So that nobody has to wait for half an hour, a minute of the rules takes this many milliseconds.
	minute = 400
	scrape = "200ms"
)

// program returns the path of a program that Debian has, in the package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("AFTERSPAN_REQUIRE_SERVICES") == "" {
		t.Skip(name + " is not installed")
	}
	require.NoError(t, err)
	return path
}

func TestPromtoolTakesTheRules(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(program(t, "promtool"), "check", "rules", alertsFile).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), fmt.Sprintf("SUCCESS: %d rules found", len(alertNames(t))))
}

// A service that has every trouble there is makes every alert fire, and every panel show something. Beside it is one that has none, and
// makes no alert fire.
func TestDashboardAndAlertsOnPrometheus(t *testing.T) {
	t.Parallel()
	prom := program(t, "prometheus")
	p := startService(t, nil, "-running", "6", "-queued", "70", "-work", "400ms", "-notify-timeout", "100ms", "-archive-timeout", "1s")
	healthy := startService(t, nil, "-work", "20ms")
	p.order("o-stuck", stuck)
	p.sendOrders(56, declined, silent, broken, "", declined, silent, broken, "")
	healthy.sendOrders(1, "")
	server := startPrometheus(t, prom, p, healthy)

	checkPanels(t, server)
	checkVariables(t, server)
	checkAlerts(t, server)
	assert.True(t, server.hasData(`rate(afterspan_task_duration_seconds_count{job="healthy"}[2s]) > 0`), "it works, too")
}

// sendOrders sends a burst of orders whenever less than that many tasks run and wait, until the test ends. With a steady excess it would be the
// last task of each order that finds no room, always, and never another.
func (p *process) sendOrders(below int, burst ...trouble) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if p.held() >= below {
				continue
			}
			for i, what := range burst {
				p.post(fmt.Sprint("o-", i), what)
			}
		}
	}()
	p.t.Cleanup(func() { close(stop); <-done })
}

// held returns how many tasks run and wait.
func (p *process) held() int {
	n := 0.0
	for _, m := range p.scrape()["afterspan_manager_tasks"].GetMetric() {
		if labels(m)["afterspan_task_state"] != "overdue" { // which are running, too
			n += m.GetGauge().GetValue()
		}
	}
	return int(n)
}

// A promServer is a Prometheus of its own, with the rules, that scrapes two services.
type promServer struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, program string, orders, healthy *process) *promServer {
	t.Helper()
	dir := t.TempDir()
	rules, config := filepath.Join(dir, "alerts.yaml"), filepath.Join(dir, "prometheus.yaml")
	require.NoError(t, os.WriteFile(rules, quickRules(t), 0o600))
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: [%[2]q]
scrape_configs:
  - job_name: orders
    static_configs: [{targets: [%[3]q]}]
  - job_name: healthy
    static_configs: [{targets: [%[4]q]}]
`, scrape, rules, strings.TrimPrefix(orders.ops, "http://"), strings.TrimPrefix(healthy.ops, "http://")), 0o600))

	addr := freeAddr(t)
	var log bytes.Buffer
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn", "--enable-feature=exemplar-storage")
	cmd.Stderr = &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	s := &promServer{t: t, url: "http://" + addr}
	require.Eventually(t, func() bool {
		response, err := http.Get(s.url + "/-/ready")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, longest, tick)
	return s
}

var minutes = regexp.MustCompile(`\b(\d+)m\b`)

// quickRules returns the alert rules with short minutes.
func quickRules(t *testing.T) []byte {
	t.Helper()
	rules, err := os.ReadFile(alertsFile)
	require.NoError(t, err)
	return minutes.ReplaceAllFunc(rules, func(m []byte) []byte {
		n, err := strconv.Atoi(string(bytes.TrimSuffix(m, []byte("m"))))
		require.NoError(t, err)
		return fmt.Appendf(nil, "%dms", n*minute)
	})
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// get asks the HTTP API, and returns the data.
func (s *promServer) get(into any, path string, query url.Values) {
	s.t.Helper()
	response, err := http.Get(s.url + "/api/v1/" + path + "?" + query.Encode())
	require.NoError(s.t, err)
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	require.NoError(s.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(s.t, "success", answer.Status, "%s %v: %s", path, query, answer.Error)
	require.NoError(s.t, json.Unmarshal(answer.Data, into))
}

// hasData reports whether an expression has a value now that is a number.
func (s *promServer) hasData(expr string) bool {
	s.t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	s.get(&data, "query", url.Values{"query": {expr}})
	for _, one := range data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(one.Value[1]), 64)
		if err == nil && !math.IsNaN(value) {
			return true
		}
	}
	return false
}

// checkPanels checks that every expression of the dashboard returns data. It may take some scrapes.
func checkPanels(t *testing.T, s *promServer) {
	t.Helper()
	expand := strings.NewReplacer("$__rate_interval", "2s", "$job", "orders", "$instance", ".*", "$task", ".*")
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			expr := expand.Replace(target.Expr)
			assert.NotContains(t, expr, "$", panel.Title)
			assert.Eventually(t, func() bool { return s.hasData(expr) }, longest, 50*time.Millisecond, "%s: %s", panel.Title, expr)
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// checkVariables checks that what one can choose in the dashboard has values.
func checkVariables(t *testing.T, s *promServer) {
	t.Helper()
	for _, v := range readDashboard(t).Templating.List {
		if v.Type != "query" {
			continue
		}
		var query struct{ Query string }
		require.NoError(t, json.Unmarshal(v.Query, &query))
		parts := labelValues.FindStringSubmatch(query.Query)
		require.Len(t, parts, 3, query.Query)
		var values []string
		s.get(&values, "label/"+parts[2]+"/values", url.Values{"match[]": {strings.ReplaceAll(parts[1], "$job", "orders")}})
		assert.NotEmpty(t, values, query.Query)
	}
}

// checkAlerts checks that all alerts fire, and that what they say has been filled in.
func checkAlerts(t *testing.T, s *promServer) {
	t.Helper()
	want := alertNames(t)
	type alert struct {
		State               string
		Labels, Annotations map[string]string
	}
	firing := map[string]alert{}
	assert.Eventually(t, func() bool {
		var data struct{ Alerts []alert }
		s.get(&data, "alerts", nil)
		for _, a := range data.Alerts {
			if a.State == "firing" && assert.NotEqual(t, "healthy", a.Labels["job"], a.Labels["alertname"]) {
				firing[a.Labels["alertname"]] = a
			}
		}
		return len(firing) == len(want)
	}, longest, 50*time.Millisecond)
	for _, name := range want {
		a, ok := firing[name]
		if !assert.True(t, ok, "%s does not fire", name) {
			continue
		}
		assert.Contains(t, []string{"warning", "critical"}, a.Labels["severity"], name)
		for _, key := range []string{"summary", "description"} {
			assert.NotEmpty(t, a.Annotations[key], name)
			assert.NotRegexp(t, `<no value>|<error|\{\{|  `, a.Annotations[key], name)
		}
	}
	assert.Equal(t, "archive_order", firing["BackgroundTasksStuck"].Labels["afterspan_task_name"])
}

var alertLine = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)

func alertNames(t *testing.T) (names []string) {
	t.Helper()
	rules, err := os.ReadFile(alertsFile)
	require.NoError(t, err)
	for _, m := range alertLine.FindAllSubmatch(rules, -1) {
		names = append(names, string(m[1]))
	}
	require.NotEmpty(t, names)
	return names
}
