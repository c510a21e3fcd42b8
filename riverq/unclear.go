package riverq

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
)

// A connectionError is an error of pgx about a connection. SafeToRetry is not asked: it is true for
// "conn closed", which is also all that pgx says of a commit whose answer was lost.
type connectionError interface {
	error
	SafeToRetry() bool
}

// mayHaveInserted reports whether err leaves open what became of an insert: the answer to its
// commit may be lost. Such an insert must not be repeated. The errors are those that drivers have
// in common and pgx's; other errors are taken for those of a statement, which was rolled back.
func mayHaveInserted(err error) bool {
	_, isNetwork := errors.AsType[net.Error](err)
	_, isConnection := errors.AsType[connectionError](err)
	if isNetwork || isConnection {
		return true
	}
	for _, target := range []error{
		context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
