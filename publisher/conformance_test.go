package publisher_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/publishertest"
)

func TestConsolePassesTheConformanceKit(t *testing.T) {
	publishertest.Run(t, func(t *testing.T) publishertest.Target {
		r, w := io.Pipe()
		stuckReader, stuckWriter := io.Pipe() // nobody reads from it
		lines := make(chan publishertest.Received, 1000)
		read := make(chan struct{})
		go func() {
			defer close(read)
			for in := bufio.NewReader(r); ; {
				line, err := in.ReadBytes('\n')
				if err != nil {
					return
				}
				var got publishertest.Received
				if err := json.Unmarshal(line, &got.Event); err != nil {
					t.Errorf("%q: %v", line, err)
				}
				lines <- got
			}
		}()
		t.Cleanup(func() {
			require.NoError(t, w.Close())
			require.NoError(t, stuckReader.Close())
			<-read
		})
		return publishertest.Target{
			Publisher: publisher.Console(w, publisher.WithJSONLines()),
			Stuck:     publisher.Console(stuckWriter),
			Receive: func(ctx context.Context) (publishertest.Received, error) {
				select {
				case got := <-lines:
					return got, nil
				case <-ctx.Done():
					return publishertest.Received{}, ctx.Err()
				}
			},
		}
	})
}
