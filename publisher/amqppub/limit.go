package amqppub

import (
	"cmp"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/publisher"
)

const (
	// maxShort is how many bytes AMQP 0-9-1 allows for a name, a routing key or an ID. Some versions
	// of the client cut longer ones.
	maxShort = 255
	// defaultMaxSize is the default of max_message_size in RabbitMQ 4. RabbitMQ 3 allows more.
	defaultMaxSize = 16 << 20
)

// checkSizes checks what does not depend on the connection.
func (p *Publisher) checkSizes(key string, msg amqp.Publishing) error {
	return cmp.Or(
		publisher.CheckLimit("ID", len(msg.MessageId), maxShort, "AMQP"),
		publisher.CheckLimit("routing key", len(key), maxShort, "AMQP"),
		publisher.CheckLimit("body", len(msg.Body), p.maxSize, "WithMaxMessageSize"),
	)
}

// checkHeaders checks that the properties, which include the headers, fit into one frame. The broker
// closes the whole connection if they do not.
func checkHeaders(msg amqp.Publishing, frameMax int) error {
	return publisher.CheckLimit("headers", headerFrame(msg), frameMax, "the connection's frame_max")
}

// headerFrame returns the size of the frame that has the message's properties.
// https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, sections 4.2.3 and 4.2.6
func headerFrame(msg amqp.Publishing) int {
	const frame, class, flags, deliveryMode, timestamp = 8, 12, 2, 1, 8
	size := frame + class + flags + deliveryMode + timestamp
	size += 1 + len(msg.ContentType) + 1 + len(msg.MessageId)
	size += 4 // the length of the table
	for name, value := range msg.Headers {
		size += 1 + len(name) + 1 + 4 + len(value.(string))
	}
	return size
}

// refuses reports whether err says that the broker refuses a body of this size for good. A body beyond
// its max_message_size is the only thing in our messages that it answers with PRECONDITION_FAILED. It
// closes the channel, and no field of the answer says which message it means. But if a body was too
// large, then so is the largest that was sent on the channel. The others can be tried again.
func (l *link) refuses(err error, size int) bool {
	reason, ok := errors.AsType[*amqp.Error](err)
	if !ok || reason.Code != amqp.PreconditionFailed {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return size >= l.largest
}
