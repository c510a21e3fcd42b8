package amqppub

import (
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/publisher"
)

// contentType is the name by which package publisher has the content type among the headers.
const contentType = "content-type"

// Decode returns the event in a delivery, in any encoding. An error of Decode is
// [publisher.Permanent].
func Decode(d amqp.Delivery) (publisher.Event, error) {
	m := publisher.Message{ID: d.MessageId, Header: make(map[string]string, len(d.Headers)+1), Body: d.Body}
	for name, value := range d.Headers {
		if text, ok := value.(string); ok {
			m.Header[strings.ToLower(name)] = text
		}
	}
	if d.ContentType != "" {
		m.Header[contentType] = d.ContentType
	}
	return publisher.Decode(m)
}
