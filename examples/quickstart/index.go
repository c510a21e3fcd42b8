package main

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"unicode"
)

// An index is an inverted index of sections: for each term, where it occurs and how often.
type index struct {
	postings map[string]map[int]int // term → section → count
	lengths  []int                  // of the sections, in terms
	average  float64                // length
}

// A hit is a section that has something to do with the question.
type hit struct {
	section int
	score   float64
}

// newIndex indexes sections. It stops when ctx is done.
func newIndex(ctx context.Context, sections []section) (*index, error) {
	ix := &index{postings: make(map[string]map[int]int), lengths: make([]int, len(sections))}
	total := 0
	for i, s := range sections {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, term := range s.terms() {
			if ix.postings[term] == nil {
				ix.postings[term] = make(map[int]int)
			}
			ix.postings[term][i]++
			ix.lengths[i]++
		}
		total += ix.lengths[i]
	}
	ix.average = float64(total) / float64(max(len(sections), 1))
	return ix, nil
}

// terms returns the terms of a section. Those of its title count three times: they say what it is about.
func (s section) terms() []string {
	title := termsOf(s.title)
	terms := slices.Repeat(title, 3)
	for _, one := range s.sentences {
		terms = append(terms, termsOf(one.text)...)
	}
	return terms
}

// rank returns the candidates that have a term of the query, best first, by BM25:
// https://en.wikipedia.org/wiki/Okapi_BM25
func (ix *index) rank(query []string, candidates []int) []hit {
	const k1, b = 1.2, 0.75
	var hits []hit
	for _, i := range candidates {
		score := 0.0
		for _, term := range query {
			count := float64(ix.postings[term][i])
			length := float64(ix.lengths[i]) / ix.average
			score += ix.weight(term) * count * (k1 + 1) / (count + k1*(1-b+b*length))
		}
		if score > 0 {
			hits = append(hits, hit{section: i, score: score})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	return hits
}

// weight says how much a term tells: the fewer sections have it, the more.
func (ix *index) weight(term string) float64 {
	n, with := float64(len(ix.lengths)), float64(len(ix.postings[term]))
	return math.Log(1 + (n-with+0.5)/(with+0.5))
}

// termsOf returns the words of a text that can tell one section from another, without their endings.
func termsOf(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	terms := words[:0]
	for _, w := range words {
		if len(w) > 1 && !stopWords[w] {
			terms = append(terms, stem(w))
		}
	}
	return terms
}

// stem cuts the endings that English puts on most words. Crude, but the same for question and document.
func stem(word string) string {
	for _, ending := range []string{"ing", "ed", "es", "s"} {
		if base, cut := strings.CutSuffix(word, ending); cut && len(base) > 3 {
			return base
		}
	}
	return word
}

var stopWords = func() map[string]bool {
	const words = `a about after all also an and any are as at be been but by can do does for from had happens has have
		he her his how if in into is it its may more no not of on one only or out so still such than that the their
		them then there these they this to was what when where which while who why will with would you your`
	set := make(map[string]bool)
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}()
