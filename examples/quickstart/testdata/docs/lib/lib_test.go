// Package lib_test is not a document: pressure, shutdown.
package lib_test
