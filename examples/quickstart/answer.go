package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An answer is extractive: it is what the documents say, word for word.
type answer struct {
	quotes []quote
	read   int // sections
}

// A quote is a sentence, and where it stands.
type quote struct {
	sentence
	file  string
	title string
	score float64
}

// String returns the answer as one line of text for each quote.
func (a answer) String() string {
	if len(a.quotes) == 0 {
		return fmt.Sprintf("Nothing in %d sections has to do with it.", a.read)
	}
	var b strings.Builder
	for _, q := range a.quotes {
		fmt.Fprintf(&b, "%s [%s:%d]\n", q.text, q.file, q.line)
	}
	return b.String()
}

// scan returns which of the sections have one of the terms.
func scan(sections []section, terms []string) (candidates []int) {
	for i, s := range sections {
		if slices.ContainsFunc(s.terms(), func(term string) bool { return slices.Contains(terms, term) }) {
			candidates = append(candidates, i)
		}
	}
	return candidates
}

// quoteBest returns the sentences of the best sections that say most about the terms, best first.
func quoteBest(ix *index, terms []string, sections []section, hits []hit) []quote {
	const goodEnough, most = 0.75, 3
	var quotes []quote
	for _, h := range hits {
		if h.score < goodEnough*hits[0].score {
			break
		}
		s := sections[h.section]
		for _, one := range s.sentences {
			if score := h.score * relevance(ix, terms, one); score > 0 {
				quotes = append(quotes, quote{sentence: one, file: s.file, title: s.title, score: score})
			}
		}
	}
	slices.SortStableFunc(quotes, func(a, b quote) int { return cmp.Compare(b.score, a.score) })
	return quotes[:min(most, len(quotes))]
}

// relevance is how much of the query a sentence has. Long sentences have more by mere chance.
func relevance(ix *index, terms []string, s sentence) float64 {
	const usualLength = 20
	own := termsOf(s.text)
	sum := 0.0
	for _, term := range terms {
		if slices.Contains(own, term) {
			sum += ix.weight(term)
		}
	}
	return sum * usualLength / float64(usualLength+len(own))
}
