// Package dbtest tests riverq on real databases. It is a module of its own, so that no user of
// riverq downloads their drivers. Nobody imports it.
package dbtest
