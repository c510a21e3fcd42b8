package core

import (
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A task is one allocation, of a size that the runtime has. One more word would cost the next size, of 256 bytes.
func TestATaskHas240Bytes(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("words have another size")
	}
	require.LessOrEqual(t, reflect.TypeFor[Task]().Size(), uintptr(240))
}
