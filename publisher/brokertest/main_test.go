package brokertest

import (
	"os"
	"testing"
)

// TestMain runs the tests. If this process was started as a NATS server, it runs the server
// instead.
func TestMain(m *testing.M) {
	if config := os.Getenv(natsConfig); config != "" {
		serveNATS(config)
	}
	os.Exit(m.Run())
}
