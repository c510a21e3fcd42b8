//go:build race

package otelmw_test

// The race detector allocates, too.
const raceDetector = true
