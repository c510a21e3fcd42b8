// Package brokertest has the tests of the adapters, on real servers. It is a module of its own, and not for import, so that
// nobody who imports an adapter gets the servers and tools that only its tests need.
package brokertest
