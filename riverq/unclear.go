package riverq

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
)

// mayHaveInserted reports whether err leaves open what became of an insert: the answer to its commit may
// be lost. Such an insert must not be repeated. The errors are those that drivers have in common; other
// errors are taken for those of a statement, which was rolled back.
func mayHaveInserted(err error) bool {
	if _, isNetwork := errors.AsType[net.Error](err); isNetwork {
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
