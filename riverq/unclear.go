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

// mayPass reports whether err says that the database was not there, or was busy: nothing was
// inserted, and the same insert may succeed a moment later.
func mayPass(err error) bool {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return true
	}
	if answer, ok := errors.AsType[sqlStateError](err); ok {
		return isPassingState(answer.SQLState())
	}
	if answer, ok := errors.AsType[sqliteError](err); ok {
		const busy, locked, primary = 5, 6, 0xff // https://sqlite.org/rescode.html
		code := answer.Code() & primary
		return code == busy || code == locked
	}
	return false
}

// A sqlStateError is an answer of PostgreSQL: its error has undone the transaction.
type sqlStateError interface {
	error
	SQLState() string
}

// A sqliteError is an error of modernc.org/sqlite.
type sqliteError interface {
	error
	Code() int
}

// isPassingState reports whether an SQLSTATE is that of a server which starts, stops, is full, is
// a standby, or gave precedence to another transaction.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func isPassingState(state string) bool {
	const queryCanceled, lockNotAvailable, readOnly = "57014", "55P03", "25006"
	if len(state) != 5 || state == queryCanceled { // a smaller batch may take less time
		return false
	}
	switch state[:2] {
	case "08", "40", "53", "57": // connection, rollback, resources, intervention of an operator
		return true
	}
	return state == lockNotAvailable || state == readOnly
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
