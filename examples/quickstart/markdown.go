package main

import (
	"regexp"
	"strings"
)

// A line is one line of a document.
type line struct {
	number int
	text   string
}

var (
	heading  = regexp.MustCompile(`^#{1,6} +(.+?) *#*$`)
	listMark = regexp.MustCompile(`^\s*([-*+>]|\d+[.)])\s+`)
	linked   = regexp.MustCompile(`\[([^\]]+)\](\([^)]*\))?`) // [text](target), and [Name] as in Go
)

// markdownSections takes a Markdown file apart.
func markdownSections(file string, content []byte) []section {
	var lines []line
	number := 0
	for l := range strings.Lines(string(content)) {
		number++
		lines = append(lines, line{number, strings.TrimRight(l, "\r\n")})
	}
	return splitSections(file, file, lines)
}

// A splitter puts lines together to sections. What it knows of Markdown also fits the comments of Go.
type splitter struct {
	sections  []section
	current   section
	paragraph []line
	inFence   bool
}

// splitSections takes text apart at its headings; title is what comes before the first. Sections
// without a sentence are left out.
func splitSections(file, title string, lines []line) []section {
	s := splitter{current: section{file: file, title: title}}
	for _, l := range lines {
		s.add(l)
	}
	s.endSection()
	return s.sections
}

func (s *splitter) add(l line) {
	text := strings.TrimSpace(l.text)
	switch {
	case strings.HasPrefix(text, "```"):
		s.inFence = !s.inFence
		s.endParagraph()
	case s.inFence, strings.HasPrefix(l.text, "\t"): // code is not for quoting
	case text == "", text[0] == '|', text[0] == '<': // nor are tables and HTML
		s.endParagraph()
	case heading.MatchString(text):
		s.endSection()
		s.current = section{file: s.current.file, title: heading.FindStringSubmatch(text)[1]}
	default:
		if mark := listMark.FindString(l.text); mark != "" {
			s.endParagraph()
			text = strings.TrimPrefix(l.text, mark)
		}
		s.paragraph = append(s.paragraph, line{l.number, text})
	}
}

func (s *splitter) endParagraph() {
	s.current.sentences = append(s.current.sentences, splitSentences(s.paragraph)...)
	s.paragraph = nil
}

func (s *splitter) endSection() {
	s.endParagraph()
	if len(s.current.sentences) > 0 {
		s.sections = append(s.sections, s.current)
	}
}

// splitSentences takes a paragraph apart. A sentence has the number of the line that it begins on.
func splitSentences(paragraph []line) []sentence {
	words := wordsOf(paragraph)
	var sentences []sentence
	start := 0
	for i, w := range words {
		if i+1 == len(words) || endsSentence(w.text) {
			sentences = append(sentences, joinWords(words[start:i+1]))
			start = i + 1
		}
	}
	return sentences
}

func wordsOf(paragraph []line) []line {
	var words []line
	for _, l := range paragraph {
		for text := range strings.FieldsSeq(l.text) {
			words = append(words, line{l.number, text})
		}
	}
	return words
}

func endsSentence(word string) bool {
	switch word {
	case "e.g.", "i.e.", "etc.", "cf.", "vs.":
		return false
	}
	word = strings.TrimRight(word, "\"'`*_)]")
	return word != "" && strings.ContainsAny(word[len(word)-1:], ".!?") && !strings.HasSuffix(word, "..")
}

func joinWords(words []line) sentence {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	text := strings.ReplaceAll(strings.Join(texts, " "), "**", "")
	return sentence{text: linked.ReplaceAllString(text, "$1"), line: words[0].number}
}
