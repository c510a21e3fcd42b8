package publisher

import "strings"

// hideUserinfo replaces the user and the password of each URL in the text. It takes linear time, since
// it never goes back to a byte that it has passed.
func hideUserinfo(text string) string {
	last := strings.LastIndexByte(text, '@')
	var out strings.Builder
	done := 0 // how much of text is in out
	for at := 0; at <= last; {
		start := afterScheme(text, at)
		if start < 0 || start > last {
			break
		}
		end, seen := userinfoEnd(text, start)
		if end < 0 {
			at = seen
			continue
		}
		out.WriteString(text[done:start])
		out.WriteString("***")
		done, at = end, end+1
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// afterScheme returns the index behind the next "://" at or after from, or -1 if there is none. There
// may be backslashes before the slashes: an error may quote another error that quotes JSON.
func afterScheme(text string, from int) int {
	for {
		colon := strings.IndexByte(text[from:], ':')
		if colon < 0 {
			return -1
		}
		from += colon + 1
		first := skip(text, from, '\\')
		if first < len(text) && text[first] == '/' {
			if second := skip(text, first+1, '\\'); second < len(text) && text[second] == '/' {
				return second + 1
			}
		}
		from = first
	}
}

func skip(text string, from int, c byte) int {
	for from < len(text) && text[from] == c {
		from++
	}
	return from
}

// userinfoEnd returns the index of the @ behind the user and the password that start at start. A
// password that is not escaped may contain any character, so its end is the last @ of the line or of
// the quotes around the URL. If there is no password, end is -1, and none starts before seen.
func userinfoEnd(text string, start int) (end, seen int) {
	if isQuoted(text, start) {
		if at := lastAt(text, start, quoteEnd(text, start)); at >= 0 {
			return at, at
		}
	}
	line := lineEnd(text, start)
	end = lastAt(text, start, line)
	for line < len(text) { // the password may have line breaks, at its end if it was read from a file
		next := line + 1
		line = lineEnd(text, next)
		first := strings.IndexByte(text[next:line], '@')
		switch {
		case first >= 0 && isRestOfPassword(text[next:next+first], end):
			end = lastAt(text, next, line)
		case first < 0 && strings.Trim(text[next:line], " \t\r") == "": // a blank line
		case first >= 0 || end >= 0 || hasWordsOrURL(text[next:line]):
			return end, next
		}
	}
	return end, line
}

// isRestOfPassword reports whether the start of a line, up to its first @, goes on with the password
// of the line before. If that line had an @ already, the start must be empty.
func isRestOfPassword(start string, end int) bool {
	start = strings.Trim(start, " \t\r")
	return start == "" || end < 0 && !hasWordsOrURL(start)
}

func hasWordsOrURL(s string) bool { return strings.Contains(s, " ") || afterScheme(s, 0) >= 0 }

// lastAt returns the index of the last @ between two indexes, or -1.
func lastAt(text string, from, to int) int {
	if i := strings.LastIndexByte(text[from:to], '@'); i >= 0 {
		return from + i
	}
	return -1
}

func lineEnd(text string, from int) int {
	if i := strings.IndexByte(text[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(text)
}

// isQuoted reports whether the scheme that ends at end follows a quote.
func isQuoted(text string, end int) bool {
	scheme, ok := strings.CutSuffix(text[:end], "://")
	if !ok {
		return false
	}
	bare := strings.TrimRightFunc(scheme, isSchemeRune)
	return bare != scheme && strings.HasSuffix(bare, `"`)
}

func isSchemeRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '+' || r == '.' || r == '-'
}

// quoteEnd returns the index of the quote that ends the text in quotes, or of the end of the line.
func quoteEnd(text string, from int) int {
	for i := from; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if !strings.HasPrefix(text[i+1:], "\n") {
				i++
			}
		case '"', '\n':
			return i
		}
	}
	return len(text)
}

// hideUnparsed replaces the URLs in the errors of package net/url. Their text quotes the URL and then
// the part that is wrong. Either may be cut short and contain a part of the password. Another error
// may have quoted the text again, and so there may be backslashes before the quote.
func hideUnparsed(text string) string {
	const call = "parse "
	var out strings.Builder
	done := 0
	for at := 0; ; {
		start := afterScheme(text, at)
		if start < 0 {
			break
		}
		at = start
		if !isQuoted(text, start) {
			continue
		}
		before := strings.TrimRightFunc(strings.TrimSuffix(text[done:start], "://"), isSchemeRune)
		before = strings.TrimRight(strings.TrimSuffix(before, `"`), `\`)
		if len(before) < len(call) || !strings.EqualFold(before[len(before)-len(call):], call) {
			continue
		}
		out.WriteString(text[done:start])
		out.WriteString(`***@***": not a valid URL`)
		done = lineEnd(text, start)
		at = done
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}
