package publisher

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// checkNumber returns an error if a number of JSON is not the same after it has been decoded as a
// float64, which is what [Decode] and most other decoders do.
func checkNumber(literal string) error {
	const safe = 15 // a float64 keeps this many digits: https://en.cppreference.com/w/cpp/types/climits.html
	if len(literal) <= safe && !strings.ContainsAny(literal, "eE") {
		return nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || !survives(significant(literal), f) {
		return fmt.Errorf("the number %s is not the same as a float64: send it as a string",
			Abbreviate(literal))
	}
	return nil
}

// survives reports whether f, the float64 closest to a number with these digits, has the same digits.
func survives(digits string, f float64) bool {
	const most = 767 // significant digits of a float64
	switch {
	case digits == "":
		return true // zero
	case len(digits) > most || math.IsInf(f, 0):
		return false
	}
	shortest := significant(strconv.FormatFloat(f, 'e', -1, 64))
	return digits == shortest || digits == significant(strconv.FormatFloat(f, 'e', len(digits)-1, 64))
}

// significant returns the digits of a number without its sign, point and exponent, and without the
// zeros at the start and the end.
func significant(literal string) string {
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		literal = literal[:i]
	}
	literal = strings.Replace(strings.TrimPrefix(literal, "-"), ".", "", 1)
	return strings.Trim(literal, "0")
}
