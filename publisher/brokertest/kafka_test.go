package brokertest

import (
	_ "github.com/cloudevents/sdk-go/v2/event"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go"
	_ "github.com/rabbitmq/amqp091-go"
	_ "github.com/twmb/franz-go/pkg/kfake"
	_ "github.com/twmb/franz-go/pkg/kgo"

	_ "github.com/afterspan/afterspan/publisher/amqppub"
	_ "github.com/afterspan/afterspan/publisher/kafkapub"
	_ "github.com/afterspan/afterspan/publisher/natspub"
)
