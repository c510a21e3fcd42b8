package natspub

import (
	"cmp"
	"errors"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/publisher"
)

const (
	// maxControlLine is the default of the server's max_control_line, which the protocol does not
	// tell. The server closes the connection if a line is longer. The line has the subject, the
	// subject for the acknowledgement, and two sizes.
	maxControlLine = 4096
	// maxReply is room for the subject for the acknowledgement and the sizes.
	maxReply = 256

	maxSubject = maxControlLine - maxReply

	// maxStreamHeaders is how many bytes of headers a message of a stream may have.
	maxStreamHeaders = math.MaxUint16
)

// checkMessage returns an error if the message is too large for the server.
func checkMessage(msg *nats.Msg, nc *nats.Conn) error {
	return cmp.Or(
		publisher.CheckLimit("subject", len(msg.Subject), maxSubject, "the server's max_control_line"),
		publisher.CheckLimit("message", headerSize(msg.Header)+len(msg.Data), maxPayload(nc), "the server's max_payload"),
	)
}

// maxPayload returns the limit that the server has told, or 0 if the connection has never been open.
func maxPayload(nc *nats.Conn) int {
	if nc == nil { // a JetStream of the tests
		return 0
	}
	return int(nc.MaxPayload())
}

// checkStream returns an error if the message is too large for a stream.
func checkStream(msg *nats.Msg, nc *nats.Conn) error {
	return cmp.Or(
		publisher.CheckLimit("headers", headerSize(msg.Header), maxStreamHeaders, "JetStream"),
		checkMessage(msg, nc),
	)
}

// headerSize returns how many bytes the headers have on the wire:
// https://docs.nats.io/reference/reference-protocols/nats-protocol#hpub
func headerSize(header nats.Header) int {
	size := len("NATS/1.0\r\n") + len("\r\n")
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}

// The codes of errors of a stream that refuses a message because of its size.
const (
	codeMessageTooLarge jetstream.ErrorCode = 10054 // larger than the stream's max_msg_size
	codeHeadersTooLarge jetstream.ErrorCode = 10097
)

// mark marks err as permanent if it is the refusal of a message that is too large. The limit of the
// server may have changed since the check, and the stream may have its own.
func mark(err error) error {
	refusal, ok := errors.AsType[*jetstream.APIError](err)
	tooLarge := ok && (refusal.ErrorCode == codeMessageTooLarge || refusal.ErrorCode == codeHeadersTooLarge)
	if tooLarge || errors.Is(err, nats.ErrMaxPayload) {
		return publisher.Permanent(err)
	}
	return err
}
