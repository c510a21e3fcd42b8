package main

import (
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	slog.SetDefault(quiet)
	os.Exit(m.Run())
}

func TestFlags(t *testing.T) {
	o, err := parse(nil)
	require.NoError(t, err)
	require.Equal(t, minRounds, o.rounds)
	for _, wrong := range [][]string{
		{"-rounds", "0"},
		{"-write", "-rounds", "7"},
		{"-write", "-quick"},
		{"-write", "-only", "empty"},
		{"-only", "("},
	} {
		_, err := parse(wrong)
		require.Error(t, err, wrong)
	}
}
