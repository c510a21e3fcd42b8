package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestREADMEHasAPlaceForTheTable(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text, err := replaceTable(string(readme), "TABLE")
	require.NoError(t, err)
	require.Contains(t, text, tableBegins+"\n\nTABLE\n\n"+tableEnds)
	require.Contains(t, text, "]("+plotFile+")")
	again, err := replaceTable(text, "TABLE")
	require.NoError(t, err)
	require.Equal(t, text, again)
	_, err = replaceTable("nothing", "TABLE")
	require.Error(t, err)
}
