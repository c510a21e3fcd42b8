package otelmw_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// docs/semconv says what is emitted, and this is compared with what is.

// A registry is what Weaver reads, as far as the test needs it.
type registry struct {
	attributes map[string]registryAttribute
	groups     map[string]registryGroup // by id
}

type registryGroup struct {
	ID, Type, Name, Brief, Instrument, Unit string
	SpanKind                                string `yaml:"span_kind"`
	MetricName                              string `yaml:"metric_name"`
	Attributes                              []registryAttribute
}

type registryAttribute struct {
	ID, Ref, Brief, Stability string
	Type                      any // the name of a type, or an object with members
}

// members returns the values of an enumeration, or nil.
func (a registryAttribute) members() (values []string) {
	object, _ := a.Type.(map[string]any)
	members, _ := object["members"].([]any)
	for _, m := range members {
		values = append(values, m.(map[string]any)["value"].(string))
	}
	return values
}

func readRegistry(t *testing.T) registry {
	t.Helper()
	files, err := filepath.Glob("../docs/semconv/*.yaml")
	require.NoError(t, err)
	r := registry{attributes: map[string]registryAttribute{}, groups: map[string]registryGroup{}}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var parsed struct{ Groups []registryGroup }
		require.NoError(t, yaml.Unmarshal(content, &parsed), file)
		for _, g := range parsed.Groups {
			require.NotContains(t, r.groups, g.ID)
			r.groups[g.ID] = g
			if g.Type == "attribute_group" {
				for _, a := range g.Attributes {
					require.NotContains(t, r.attributes, a.ID)
					r.attributes[a.ID] = a
				}
			}
		}
	}
	return r
}

// Every attribute is described, and every reference leads to one of ours or to OpenTelemetry's.
func TestRegistryIsComplete(t *testing.T) {
	r := readRegistry(t)
	used := map[string]bool{"afterspan.link.kind": true} // Weaver has no groups for links
	for id, g := range r.groups {
		assert.NotEmpty(t, g.Brief, id)
		for _, a := range g.Attributes {
			if a.Ref != "" {
				used[a.Ref] = true
				assert.True(t, a.Ref == "error.type" || r.attributes[a.Ref].ID != "", a.Ref)
			}
		}
	}
	for id, a := range r.attributes {
		assert.NotEmpty(t, a.Brief, id)
		assert.Equal(t, "development", a.Stability, id)
		assert.True(t, used[id], "%s is in no group", id)
	}
}

// The links of Jaeger's pages are made of attributes that there are.
func TestJaegerLinksAreOfKnownAttributes(t *testing.T) {
	content, err := os.ReadFile("../docs/jaeger-ui.json")
	require.NoError(t, err)
	require.True(t, json.Valid(content))
	r, found := readRegistry(t), 0
	for _, key := range regexp.MustCompile(`afterspan\.[a-z_]+\.[a-z_]+`).FindAllString(string(content), -1) {
		assert.Contains(t, r.attributes, key)
		found++
	}
	assert.GreaterOrEqual(t, found, 4)
}

// emitted is what was seen of attributes: where, and which values.
type emitted struct {
	keys   map[string]map[string]bool // by group
	values map[string]map[string]bool // by key
	types  map[string]attribute.Type
}

func (e *emitted) add(group string, attrs []attribute.KeyValue) {
	for _, kv := range attrs {
		key := string(kv.Key)
		if e.keys[group] == nil {
			e.keys[group] = map[string]bool{}
		}
		e.keys[group][key] = true
		if e.values[key] == nil {
			e.values[key] = map[string]bool{}
		}
		e.values[key][kv.Value.String()] = true
		e.types[key] = kv.Value.Type()
	}
}

func TestRegistryIsWhatIsEmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readRegistry(t)
		tel := newTelemetry(t)
		allThereIs(t, tel)
		e := emitted{map[string]map[string]bool{}, map[string]map[string]bool{}, map[string]attribute.Type{}}
		for _, s := range tel.recorder.Ended() {
			addSpan(t, r, &e, s)
		}
		for name, m := range tel.collect(t) {
			addMetric(t, r, &e, "metric."+name, m)
		}
		for id, g := range r.groups {
			if g.Type != "attribute_group" {
				assert.ElementsMatch(t, refs(g), keysOf(e.keys[id]), id)
			}
		}
		for key, a := range r.attributes {
			checkAttribute(t, &e, key, a)
		}
	})
}

func refs(g registryGroup) (keys []string) {
	for _, a := range g.Attributes {
		keys = append(keys, a.Ref)
	}
	return keys
}

func keysOf(m map[string]bool) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

func addSpan(t *testing.T, r registry, e *emitted, s sdktrace.ReadOnlySpan) {
	t.Helper()
	for _, event := range s.Events() {
		if event.Name == r.groups["event.afterspan.task_refused"].Name {
			e.add("event.afterspan.task_refused", event.Attributes)
		}
	}
	if s.InstrumentationScope().Name != otelmw.ScopeName {
		return
	}
	group := "span.afterspan.task"
	if strings.HasPrefix(s.Name(), "spawn ") {
		group = "span.afterspan.spawn"
	}
	assert.Equal(t, r.groups[group].SpanKind, s.SpanKind().String(), s.Name())
	e.add(group, s.Attributes())
	for _, link := range s.Links() {
		e.add("links", link.Attributes)
	}
}

func addMetric(t *testing.T, r registry, e *emitted, id string, m metricdata.Metrics) {
	t.Helper()
	g := r.groups[id]
	assert.Equal(t, g.MetricName, m.Name)
	assert.Equal(t, g.Unit, m.Unit, m.Name)
	assert.Equal(t, g.Brief, m.Description, m.Name)
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		assert.Equal(t, "histogram", g.Instrument, m.Name)
		for _, p := range data.DataPoints {
			e.add(id, p.Attributes.ToSlice())
		}
	case metricdata.Sum[int64]:
		assert.Equal(t, map[bool]string{true: "counter", false: "updowncounter"}[data.IsMonotonic], g.Instrument, m.Name)
		for _, p := range data.DataPoints {
			e.add(id, p.Attributes.ToSlice())
		}
	case metricdata.Gauge[float64]:
		assert.Equal(t, "gauge", g.Instrument, m.Name)
		for _, p := range data.DataPoints {
			e.add(id, p.Attributes.ToSlice())
		}
	default:
		assert.Failf(t, "unexpected metric", "%s: %T", m.Name, data)
	}
}

// checkAttribute compares the type of an attribute, and its values if they are counted up.
func checkAttribute(t *testing.T, e *emitted, key string, a registryAttribute) {
	t.Helper()
	if members := a.members(); members != nil {
		assert.ElementsMatch(t, members, keysOf(e.values[key]), key)
		return
	}
	want := map[any]attribute.Type{"string": attribute.STRING, "int": attribute.INT64, "double": attribute.FLOAT64, "boolean": attribute.BOOL}
	assert.Equal(t, want[a.Type], e.types[key], key)
}

// allThereIs makes tasks end in every way, with every attribute there is.
func allThereIs(t *testing.T, tel *telemetry) {
	t.Helper()
	refuse := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		if task.Name() == "refused" {
			return core.ErrRejected
		}
		err := next(ctx, task)
		if task.OutcomeOf(err) == core.Cancelled {
			err = errors.Join(err, core.ErrHandedOver)
		}
		return err
	})
	m := newManager(core.WithMiddleware(retry(2), tel.middleware(), refuse), core.WithLimit(3, 1))
	_, err := otelmw.ObserveManager(m, "mail", otelmw.WithMeterProvider(tel.meters))
	require.NoError(t, err)
	ctx, agent := tel.start("agent")

	for _, fn := range []core.Func{succeed, fail, obey, func(context.Context) error { panic("boom") }} {
		_ = m.Go(ctx, "job", fn, core.WithTimeout(time.Second)).Wait(ctx)
	}
	_ = m.Go(ctx, "refused", succeed).Wait(ctx)
	attached, cancel := context.WithCancel(ctx)
	m.Go(attached, "job", obey, core.Attached())
	time.Sleep(time.Second)
	cancel()
	time.Sleep(time.Minute)

	release := make(chan struct{})
	m.Go(ctx, "stuck", until(release), core.WithTimeout(time.Second))
	m.Go(ctx, "stuck", until(release))
	m.Go(ctx, "polite", obey)
	m.Go(ctx, "queued", succeed).Cancel()
	m.Go(ctx, "queued", succeed)
	m.Go(ctx, "full", succeed)
	shutDownIn(10*time.Second, m)
	m.Go(ctx, "closed", succeed)
	agent.End()
	t.Cleanup(func() { close(release); _ = m.Wait(context.Background()) })
}
