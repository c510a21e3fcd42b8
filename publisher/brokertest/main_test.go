package brokertest

import (
	"os"
	"testing"
)

// TestMain runs the tests, or a server of NATS if this process was started to be one.
func TestMain(m *testing.M) {
	if config := os.Getenv(natsConfig); config != "" {
		serveNATS(config)
	}
	os.Exit(m.Run())
}
