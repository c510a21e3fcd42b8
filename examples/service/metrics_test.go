package main

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scrape reads /metrics as Prometheus does.
func (p *process) scrape() map[string]*dto.MetricFamily {
	p.t.Helper()
	status, body := p.get("/metrics")
	require.Equal(p.t, http.StatusOK, status)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	require.NoError(p.t, err)
	return families
}

// labels returns the labels of a time series, without those that say which library it comes from.
func labels(m *dto.Metric) map[string]string {
	found := map[string]string{}
	for _, l := range m.GetLabel() {
		if !strings.HasPrefix(l.GetName(), "otel_scope_") {
			found[l.GetName()] = l.GetValue()
		}
	}
	return found
}

var durationBounds = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

const (
	durationMetric = "afterspan_task_duration_seconds"
	queueMetric    = "afterspan_task_queue_duration_seconds"
	activeMetric   = "afterspan_task_active"
	managerMetric  = "afterspan_manager_tasks"
	refusedMetric  = "afterspan_task_refused_total"
	oldestMetric   = "afterspan_manager_oldest_seconds"
)

// What the documentation of otelmw promises, as Prometheus sees it. A counter that goes up and down is a gauge there.
var promised = map[string]struct {
	kind   dto.MetricType
	help   string
	labels []string // of which a time series may lack the last
}{
	durationMetric: {
		dto.MetricType_HISTOGRAM, "How long the run of a background task took.",
		[]string{"afterspan_task_name", "afterspan_task_outcome", "error_type"},
	},
	queueMetric: {
		dto.MetricType_HISTOGRAM, "How long a background task waited for the start of its run.", []string{"afterspan_task_name"},
	},
	activeMetric: {dto.MetricType_GAUGE, "Background tasks that run.", []string{"afterspan_task_name"}},
	refusedMetric: {
		dto.MetricType_COUNTER, "Background tasks that were refused.", []string{"afterspan_task_name", "afterspan_refusal_reason"},
	},
	managerMetric: {
		dto.MetricType_GAUGE, "Background tasks that run, wait to run, or run though they were cancelled.",
		[]string{"afterspan_manager_name", "afterspan_task_state"},
	},
	oldestMetric: {dto.MetricType_GAUGE, "How long the oldest background task has been running.", []string{"afterspan_manager_name"}},
}

func TestMetricsAsPrometheusHasThem(t *testing.T) {
	t.Parallel()
	p := startService(t, nil, "-running", "4", "-queued", "4", "-work", "1ms", "-notify-timeout", "20ms")
	for _, what := range []trouble{silent, declined, broken} {
		id := p.order("o-"+string(what), what).OrderID
		p.await(func(l line) bool { return l["order_id"] == id && (l["level"] == "ERROR" || l["level"] == "WARN") })
		p.idle()
	}
	for range 10 {
		p.post("o-slow", slow)
	}
	families := p.scrape()

	for name, want := range promised {
		family := families[name]
		require.NotNil(t, family, name)
		assert.Equal(t, want.kind, family.GetType(), name)
		assert.Equal(t, want.help, family.GetHelp(), name)
		for _, m := range family.GetMetric() {
			checkSeries(t, name, m, want.labels)
		}
	}
	for name := range families {
		_, known := promised[name]
		assert.Equal(t, strings.HasPrefix(name, "afterspan_"), known, name)
	}
	assert.Positive(t, families[refusedMetric].GetMetric()[0].GetCounter().GetValue())
	assert.Contains(t, families, "http_server_request_duration_seconds")
	assert.Contains(t, families, "go_goroutine_count")
	assert.Equal(t, "orders", labels(families["target_info"].GetMetric()[0])["service_name"])
}

// idle waits until no task runs.
func (p *process) idle() {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.held() == 0 }, longest, tick)
}

// checkSeries checks that a time series has the labels that it should, and nothing of a task's own.
func checkSeries(t *testing.T, name string, m *dto.Metric, want []string) {
	t.Helper()
	has := labels(m)
	if has["error_type"] == "" && slices.Contains(want, "error_type") {
		want = want[:len(want)-1]
	}
	assert.ElementsMatch(t, want, slices.Collect(maps.Keys(has)), name)
	if outcome := has["afterspan_task_outcome"]; outcome != "" {
		assert.Equal(t, outcome == "failed" || outcome == "timed_out", has["error_type"] != "", has)
	}
	if m.GetHistogram() == nil {
		return
	}
	var bounds []float64
	for _, b := range m.GetHistogram().GetBucket() {
		bounds = append(bounds, b.GetUpperBound())
	}
	assert.Equal(t, durationBounds, bounds[:len(bounds)-1], name) // and +Inf
}

// The series of a metric tell apart what happened: each outcome, and each kind of error.
func TestSeriesOfEachOutcome(t *testing.T) {
	t.Parallel()
	p := startService(t, nil, "-work", "1ms", "-notify-timeout", "1s")
	for _, what := range []trouble{"", silent, declined, broken} {
		p.order("o-1", what)
	}
	p.idle()
	ended := map[string]uint64{}
	families := p.scrape()
	for _, m := range families[durationMetric].GetMetric() {
		l := labels(m)
		key := strings.TrimSpace(l["afterspan_task_name"] + " " + l["afterspan_task_outcome"] + " " + l["error_type"])
		ended[key] = m.GetHistogram().GetSampleCount()
	}
	assert.Equal(t, map[string]uint64{
		"send_receipt completed": 4, "warm_cache completed": 4,
		"notify completed": 3, "notify timed_out timeout": 1,
		"award_points completed": 2, "award_points failed points_declined": 1, "award_points failed panic": 1,
	}, ended)
	for _, m := range families[activeMetric].GetMetric() {
		assert.Zero(t, m.GetGauge().GetValue(), labels(m))
	}
}

// An exemplar leads from a histogram to the trace of a task in it.
func TestExemplarsLeadToATask(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r, "-work", "1ms")
	p.order("o-1", "")
	p.idle()
	request, err := http.NewRequest(http.MethodGet, p.ops+"/metrics", nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	p.stop()
	for _, name := range usualTasks {
		assert.Contains(t, string(body), `trace_id="`+text(r.one(name).GetTraceId())+`"`, name)
	}
}
