package publisher

import "unicode/utf8"

// What an error quotes at most, in bytes.
const (
	maxName = 64  // of an ID, a key or a number
	maxText = 512 // of the error of package json, or of a method that it calls
)

// Abbreviate returns the text, or its start and an ellipsis if it has more than 64 bytes. Like
// [Redact], it hides passwords in URLs, since it may cut off what shows that they are. Adapters
// call it for the IDs and names in their errors, which may be megabytes.
func Abbreviate(text string) string {
	return cut(text, maxName)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = hide(text)
	end := min(most, len(text))
	for i := 0; i < utf8.UTFMax && end < len(text) && !utf8.RuneStart(text[end]); i++ {
		end--
	}
	return text[:end] + "…"
}

// shorten returns err, or an error with the start of its text that matches everything that err
// matches.
func shorten(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= maxText {
		return err
	}
	return &reworded{text: cut(text, maxText), err: err}
}
