package natspub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// coreTimeout is how long Publish waits for the server at most. It is the timeout of
// nats.Conn.Flush.
const coreTimeout = 10 * time.Second

// sendCore publishes the message and waits for a PONG. The server answers with PONG after it has
// processed everything that came before.
func sendCore(ctx context.Context, nc *nats.Conn, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, coreTimeout) // FlushWithContext requires a deadline
	defer cancel()
	reconnects, lastError := nc.Stats().Reconnects, nc.LastError()
	if err := nc.PublishMsg(msg); err != nil {
		return err
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return err
	}
	// The PONG may belong to a new connection, and the event may be lost with the old one.
	if nc.Stats().Reconnects != reconnects {
		return errors.New("the connection was lost before the server confirmed the event")
	}
	if err := nc.LastError(); isRefusal(err, msg.Subject) && err != lastError {
		return err
	}
	return nil
}

// isRefusal reports whether err is the server's refusal of this subject: the user has no permission
// to publish to it. The server sends it before the PONG, and the client keeps it as its LastError.
func isRefusal(err error, subject string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), fmt.Sprintf("%q", subject))
}
