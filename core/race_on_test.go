//go:build race

package core_test

// The race detector allocates, too.
const raceDetector = true
