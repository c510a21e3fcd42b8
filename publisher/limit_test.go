package publisher_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

func TestLimitErrorSaysWhichFieldAndLimitAndIsPermanent(t *testing.T) {
	err := publisher.CheckLimit("body", 20, 10, "the server's max_payload")
	require.EqualError(t, err, "the body has 20 bytes; the server's max_payload allows 10")
	assert.True(t, publisher.IsPermanent(fmt.Errorf("adapter: %w", err)))
	var limit *publisher.LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, publisher.LimitError{Field: "body", Size: 20, Limit: 10, By: "the server's max_payload"}, *limit)
}

func TestLimitErrorOfAPluralField(t *testing.T) {
	err := publisher.CheckLimit("headers", 20, 10, "the connection's frame_max")
	require.EqualError(t, err, "the headers have 20 bytes; the connection's frame_max allows 10")
}

func TestALimitIsWhatIsAllowed(t *testing.T) {
	require.NoError(t, publisher.CheckLimit("body", 10, 10, ""))
	require.Error(t, publisher.CheckLimit("body", 11, 10, ""))
	for _, none := range []int{0, -1} {
		require.NoError(t, publisher.CheckLimit("body", 1<<30, none, ""), "no limit")
	}
}
