package brokertest

import (
	"os"
	"testing"
)

// TestMain runs the tests. If this process was started as a NATS server or as a consumer, it runs that
// instead.
func TestMain(m *testing.M) {
	if config := os.Getenv(natsConfig); config != "" {
		serveNATS(config)
	}
	if args := os.Getenv(dyingConsumer); args != "" {
		consumeAndDie(args)
	}
	os.Exit(m.Run())
}
