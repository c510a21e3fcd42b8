package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/otelmw"
)

func TestRelationIsLinkOrChild(t *testing.T) {
	o, err := parseOptions([]string{"-relation", "child"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, otelmw.Child, o.relation)
	o, err = parseOptions(nil, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, otelmw.Link, o.relation)
	_, err = parseOptions([]string{"-relation", "cousin"}, io.Discard)
	assert.ErrorContains(t, err, `there is no relation "cousin"`)
}

// A service goes on without its traces.
func TestJaegerThatIsNotThereIsNoFailure(t *testing.T) {
	addr, _ := freeAddrs(t)
	assert.NoError(t, run(t.Context(), []string{"-endpoint", "http://" + addr, "-think", "0"}, io.Discard, io.Discard))
}
