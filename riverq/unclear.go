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

// A sqlStateError is an answer of PostgreSQL, or of a pooler before it.
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
	const cannotConnect, rejected, readOnly = "08001", "08004", "25006"
	switch state {
	case cannotConnect, rejected, readOnly:
		return true
	case completionUnknown:
		return false
	}
	switch class(state) {
	case "40", "53", "57": // rollback, resources, intervention of an operator
		return true
	}
	return false
}

// isUnclearState reports whether an SQLSTATE is that of a connection which broke, perhaps during a
// commit. Poolers send it, too.
func isUnclearState(state string) bool {
	return state == completionUnknown || class(state) == "08"
}

const completionUnknown = "40003"

func class(state string) string { return state[:min(2, len(state))] }

// mayHaveInserted reports whether err leaves open what became of an insert: the answer to its
// commit may be lost. The errors are those that drivers have in common and pgx's; other errors are
// taken for those of a statement, which was rolled back.
func mayHaveInserted(err error) bool {
	_, isNetwork := errors.AsType[net.Error](err)
	_, isConnection := errors.AsType[connectionError](err)
	answer, isAnswer := errors.AsType[sqlStateError](err)
	if isNetwork || isConnection || isAnswer && isUnclearState(answer.SQLState()) {
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
