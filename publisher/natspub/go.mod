module github.com/afterspan/afterspan/publisher/natspub

go 1.26.0

require (
	github.com/afterspan/afterspan v0.1.0
	github.com/nats-io/nats.go v1.45.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.18.0 // indirect
	github.com/nats-io/nkeys v0.4.11 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	go.opentelemetry.io/otel v1.45.0 // indirect
	go.opentelemetry.io/otel/trace v1.45.0 // indirect
	golang.org/x/crypto v0.37.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)
