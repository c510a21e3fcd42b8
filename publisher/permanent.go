package publisher

import "errors"

// Permanent returns an error that says that no retry can deliver the event: it is too large for the
// broker, for example. The error has the text of err and matches everything that err matches.
// [IsPermanent] reports true for it. Permanent(nil) is nil.
//
// A [Publisher] marks only errors that are the event's own. An error that somebody can mend, such as
// a missing topic or permission, is not permanent: marking it would throw away all events until it
// is mended.
//
// A consumer may use it for an event that it can never handle. The errors of [Decode] are permanent.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether no retry can mend err. It is true for an error marked by [Permanent],
// also if other errors wrap it, and for the error of a panic behind [Multi] or [Bound]. The error of
// a Multi is permanent if every sink that failed has failed for good.
//
// An error type of your own is permanent if it has a method Permanent() bool that returns true.
// If there are several in a chain, the outermost decides.
func IsPermanent(err error) bool {
	var marked interface{ Permanent() bool }
	return errors.As(err, &marked) && marked.Permanent()
}

type permanentError struct{ err error }

func (p *permanentError) Error() string   { return p.err.Error() }
func (p *permanentError) Unwrap() error   { return p.err }
func (p *permanentError) Permanent() bool { return true }

// joinedError holds the errors of several sinks. A retry is worth it if one of them is not
// permanent.
type joinedError struct{ error } // of errors.Join

func (j *joinedError) Unwrap() error { return j.error }

func (j *joinedError) Permanent() bool {
	for _, err := range j.error.(interface{ Unwrap() []error }).Unwrap() {
		if !IsPermanent(err) {
			return false
		}
	}
	return true
}

// join is errors.Join, but its error is permanent only if all of errs are.
func join(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &joinedError{errors.Join(errs...)}
}
