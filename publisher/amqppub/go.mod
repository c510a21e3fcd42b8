module github.com/afterspan/afterspan/publisher/amqppub

go 1.26.0

require (
	github.com/afterspan/afterspan v0.1.0
	github.com/rabbitmq/amqp091-go v1.10.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.opentelemetry.io/otel v1.45.0 // indirect
	go.opentelemetry.io/otel/trace v1.45.0 // indirect
)
