// Package riverq runs the middlewares of afterspan around jobs of [River].
//
// [River]: https://riverqueue.com
package riverq
