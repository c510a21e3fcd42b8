package publisher

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unixSeconds is a time in seconds since 1970, as Python's time.time() returns it. null is no time.
type unixSeconds time.Time

// The first second of the year 1 and the last of 9999. CloudEvents have no times beyond.
const firstSecond, lastSecond = -62135596800, 253402300799

func checkTime(t time.Time) error {
	switch {
	case t.Unix() < firstSecond || t.Unix() > lastSecond:
		return fmt.Errorf("the timestamp %v is outside the years 1 to 9999", t)
	case t.UnixMicro() == firstSecond*1e6:
		return fmt.Errorf("the timestamp %v is no time in microseconds", t)
	default:
		return nil
	}
}

func (s unixSeconds) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	if err := checkTime(t); err != nil {
		return nil, err
	}
	micros, sign := t.UnixMicro(), ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	return fmt.Appendf(nil, "%s%d.%06d", sign, micros/1e6, micros%1e6), nil
}

func (s *unixSeconds) UnmarshalJSON(b []byte) error {
	var number *float64
	if err := json.Unmarshal(b, &number); err != nil || number == nil {
		return err
	}
	micros, ok := parseMicros(string(b))
	if !ok || micros < firstSecond*1e6 || micros >= (lastSecond+1)*1e6 {
		return fmt.Errorf("the timestamp %s is not in seconds within the years 1 to 9999",
			Abbreviate(string(b)))
	}
	*s = unixSeconds(time.UnixMicro(micros).UTC())
	return nil
}

// parseMicros returns a number of seconds in microseconds. A float64 would not do: in the year 9999
// it counts in steps of 30 microseconds.
func parseMicros(literal string) (micros int64, ok bool) {
	if strings.ContainsAny(literal, "eE") {
		f, err := strconv.ParseFloat(literal, 64)
		f = math.Round(f * 1e6)
		return int64(f), err == nil && math.Abs(f) < math.MaxInt64
	}
	digits, negative := strings.CutPrefix(literal, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds > -firstSecond+lastSecond {
		return 0, false
	}
	tenths, _ := strconv.ParseInt((fraction + "0000000")[:7], 10, 64) // of microseconds
	micros = seconds*1e6 + (tenths+5)/10
	if negative {
		micros = -micros
	}
	return micros, true
}
