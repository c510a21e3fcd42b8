package screen

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// omit returns the spans without those of the tasks of that name, and a line that counts these.
func omit(spans []span, name string) (rest []span, line string) {
	outcomes := make(map[string]int)
	for _, s := range spans {
		switch {
		case name != "" && s.Name == name && s.isTask():
			outcomes[s.outcome()]++
		case name != "" && s.Name == "spawn "+name:
		default:
			rest = append(rest, s)
		}
	}
	if len(outcomes) == 0 {
		return rest, ""
	}
	var counts []string
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		counts = append(counts, fmt.Sprintf("%d %s", outcomes[outcome], outcome))
	}
	return rest, fmt.Sprintf("Tasks that are not drawn: %s, %s.\n", name, strings.Join(counts, ", "))
}
