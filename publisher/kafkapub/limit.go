package kafkapub

import (
	"cmp"
	"encoding/binary"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/publisher"
)

// limits are the limits of the client's options, in bytes. 0 means none.
type limits struct {
	batch  int // ProducerBatchMaxBytes
	buffer int // MaxBufferedBytes
}

func limitsOf(client *kgo.Client, topic string) (l limits) {
	buffer, _ := client.OptValue(kgo.MaxBufferedBytes).(int64)
	l.buffer = int(buffer)
	// The client has had this option since v1.21. It knows options by their names, too.
	if batch, ok := client.OptValue("ProducerBatchMaxBytesFn").(func(string) int32); ok {
		l.batch = int(batch(topic))
		return l
	}
	batch, _ := client.OptValue(kgo.ProducerBatchMaxBytes).(int32)
	l.batch = int(batch)
	return l
}

// check returns an error if the client would refuse the record.
func (l limits) check(r *kgo.Record) error {
	return cmp.Or(
		publisher.CheckLimit("record", batchSize(r), l.batch, "ProducerBatchMaxBytes"),
		publisher.CheckLimit("record", contentSize(r), l.buffer, "MaxBufferedBytes"),
	)
}

// contentSize returns how many bytes the key, the value and the headers have.
func contentSize(r *kgo.Record) int {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// batchSize returns how many bytes a batch has that holds only this record, before compression:
// https://kafka.apache.org/documentation/#recordbatch
func batchSize(r *kgo.Record) int {
	const (
		overhead = 65 // the batch without its records, and its length
		fixed    = 3  // attributes, and the deltas of time and offset, which are 0
	)
	size := fixed + contentSize(r) + varint(len(r.Value)) + varint(len(r.Headers)) + varint(len(r.Key))
	for _, h := range r.Headers {
		size += varint(len(h.Key)) + varint(len(h.Value))
	}
	return overhead + varint(size) + size
}

// varint returns how many bytes n has as a varint in zigzag encoding.
func varint(n int) int { return len(binary.AppendVarint(nil, int64(n))) }

// farAhead is the default of the topic's message.timestamp.after.max.ms.
const farAhead = time.Hour

// mark marks err as permanent if it is the refusal of this record. The brokers refuse a batch as a
// whole, so the other records of the batch fail with the same error and have done nothing wrong.
// For that reason kerr.MessageTooLarge is not permanent if it comes from a broker. A record without
// a key is what brokers call invalid: a compacted topic takes none.
func mark(err error, r *kgo.Record) error {
	tooEarly := errors.Is(err, kerr.InvalidTimestamp) && time.Until(r.Timestamp) > farAhead
	keyless := errors.Is(err, kerr.InvalidRecord) && len(r.Key) == 0
	if tooEarly || keyless {
		return publisher.Permanent(err)
	}
	return err
}
