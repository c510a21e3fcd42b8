package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sectionOf(title string, sentences ...string) section {
	s := section{title: title}
	for i, text := range sentences {
		s.sentences = append(s.sentences, sentence{text: text, line: i + 1})
	}
	return s
}

func TestIndexRanks(t *testing.T) {
	sections := []section{
		sectionOf("Tea", "Tea is a drink.", "People drink it."),
		sectionOf("Kettle", "A kettle boils water for a drink."),
		sectionOf("Drink", "A drink is a drink."),
		sectionOf("Valve", "Steam leaves by the valve of the kettle."),
	}
	ix, err := newIndex(t.Context(), sections)
	require.NoError(t, err)

	rank := func(query string, candidates ...int) (order []int) {
		for _, h := range ix.rank(termsOf(query), candidates) {
			order = append(order, h.section)
		}
		return order
	}
	assert.Equal(t, []int{2, 0, 1}, rank("drinks", 0, 1, 2, 3), "the more often, the better")
	assert.Equal(t, []int{1, 3, 2, 0}, rank("Which drink needs a kettle?", 0, 1, 2, 3))
	assert.Equal(t, []int{0, 1}, rank("drink", 0, 1, 3), "of the candidates only")
	assert.Empty(t, rank("zeppelin", 0, 1, 2, 3))
	assert.Greater(t, ix.weight("valve"), ix.weight("drink"), "a rare word tells more")
}

func TestIndexStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newIndex(ctx, []section{sectionOf("Tea")})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestTermsOf(t *testing.T) {
	for text, want := range map[string][]string{
		"What happens to the tasks at shutdown?": {"task", "shutdown"},
		"Waits, waited and waiting for a bus":    {"wait", "wait", "wait", "bus"},
		"core.Manager.Shutdown":                  {"core", "manager", "shutdown"},
		"":                                       {},
	} {
		assert.Equal(t, want, termsOf(text), text)
	}
}

func TestQuoteBestKeepsToTheBestSections(t *testing.T) {
	sections := []section{
		sectionOf("Kettle", "It is red.", "A kettle boils water.", "The water boils in the kettle, as all water does."),
		sectionOf("Weather", "Rain is water that falls on all and everyone."),
	}
	ix, err := newIndex(t.Context(), sections)
	require.NoError(t, err)
	terms := termsOf("kettle water")
	var quoted []string
	for _, q := range quoteBest(ix, terms, sections, ix.rank(terms, scan(sections, terms))) {
		quoted = append(quoted, q.text)
	}
	assert.Equal(t, []string{"A kettle boils water.", "The water boils in the kettle, as all water does."}, quoted)
}
