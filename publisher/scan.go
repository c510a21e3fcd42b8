package publisher

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth is how many levels of objects and arrays an event may have in JSON. Package json stops at
// 10,000, but parsers of other languages stop earlier.
const maxDepth = 500

var errTooDeep = fmt.Errorf("there are more than %d levels of maps and slices", maxDepth-2)

// checkJSON returns an error if a reader would not get back what was written: if a number does not
// fit into a float64, if an object has a key twice, or if the nesting is too deep. raw is valid JSON
// without white space, as package json writes it. It is at that depth of the event. The numbers at
// depth 1 are fields of the event itself, which Decode reads in full.
func checkJSON(raw []byte, depth int) error {
	s := scanner{rest: raw, depth: depth}
	for len(s.rest) > 0 {
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// scanner is the state of checkJSON.
type scanner struct {
	rest  []byte
	depth int
	keys  []map[string]bool // of the objects and arrays that are open; those of an array are nil
	isKey bool              // reports whether a string in this place is a key
}

// next consumes a token.
func (s *scanner) next() error {
	switch c := s.rest[0]; {
	case c == '{' || c == '[':
		return s.open(c)
	case c == '}' || c == ']':
		s.keys, s.depth = s.keys[:len(s.keys)-1], s.depth-1
	case c == '"':
		return s.text()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == ',':
		s.isKey = s.keys[len(s.keys)-1] != nil
	}
	s.take(1)
	return nil
}

func (s *scanner) take(n int) []byte {
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token
}

func (s *scanner) open(c byte) error {
	if s.depth++; s.depth > maxDepth {
		return errTooDeep
	}
	var keys map[string]bool
	if s.isKey = c == '{'; s.isKey {
		keys = make(map[string]bool)
	}
	s.keys = append(s.keys, keys)
	s.take(1)
	return nil
}

// text consumes a string, which may be a key.
func (s *scanner) text() error {
	literal := s.take(textLen(s.rest))
	if !s.isKey {
		return nil
	}
	s.isKey = false // its value follows
	keys, key := s.keys[len(s.keys)-1], unquote(literal)
	if keys[key] {
		return fmt.Errorf("[%q]: %w", Abbreviate(key), errTwice)
	}
	keys[key] = true
	return nil
}

// textLen returns the length of the string that b starts with, with its quotes.
func textLen(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func (s *scanner) number() error {
	literal := s.take(numberLen(s.rest))
	if s.depth <= 1 {
		return nil
	}
	return checkNumber(string(literal))
}

func numberLen(b []byte) int {
	for i, c := range b {
		if c == ',' || c == '}' || c == ']' {
			return i
		}
	}
	return len(b)
}

// unquote returns the text of a string of JSON, as a decoder reads it.
func unquote(literal []byte) string {
	text := string(literal[1 : len(literal)-1])
	if strings.Contains(text, `\`) || !utf8.ValidString(text) {
		_ = json.Unmarshal(literal, &text) // is valid
	}
	return text
}
