package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A dashboard is what this test needs to know of Grafana's JSON.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage // a text, or an object with a text
		}
	}
}

type panel struct {
	ID                       int
	Title, Description, Type string
	Datasource               datasource
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Color string } }
		}
	}
	Targets []struct {
		RefID, Expr string
		Datasource  datasource
	}
}

type datasource struct{ Type, UID string }

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &d))
	require.NotEmpty(t, d.Panels)
	return d
}

// Grafana takes almost anything and then shows an empty panel. So this looks at what it needs.
func TestDashboardCanBeRendered(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	assert.NotEmpty(t, d.Title)
	assert.NotEmpty(t, d.UID)
	assert.GreaterOrEqual(t, d.SchemaVersion, 36, "where a data source became an object: Grafana 9 and newer")

	source, ids, taken := datasource{"prometheus", "${datasource}"}, map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		assert.False(t, ids[p.ID], "id %d of %s", p.ID, p.Title)
		ids[p.ID] = true
		assert.NotEmpty(t, p.Title)
		assert.NotEmpty(t, p.Description, p.Title)
		assert.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		assert.Contains(t, []string{"timeseries", "stat", "heatmap"}, p.Type, p.Title)
		assert.Equal(t, source, p.Datasource, p.Title)
		if p.Type == "stat" { // else it turns red from 80, whatever that is
			assert.NotEmpty(t, p.FieldConfig.Defaults.Thresholds.Steps, p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			assert.Equal(t, source, target.Datasource, p.Title)
			assert.NotEmpty(t, target.Expr, p.Title)
			assert.False(t, refs[target.RefID], p.Title)
			refs[target.RefID] = true
		}
		assert.NotEmpty(t, refs, p.Title)
		checkPlace(t, p, taken)
	}
	assert.Equal(t, "datasource", d.Templating.List[0].Name, "the others ask it")
}

// checkPlace checks that a panel lies within the 24 columns, and on no other.
func checkPlace(t *testing.T, p panel, taken map[[2]int]string) {
	t.Helper()
	g := p.GridPos
	assert.LessOrEqual(t, g.X+g.W, 24, p.Title)
	assert.Positive(t, g.W*g.H, p.Title)
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			if other, is := taken[[2]int{x, y}]; is {
				assert.Failf(t, "panels overlap", "%s and %s", p.Title, other)
				return
			}
			taken[[2]int{x, y}] = p.Title
		}
	}
}
