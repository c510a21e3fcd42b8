//go:build !race

package otelmw_test

const raceDetector = false
