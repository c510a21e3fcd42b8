// Package brokertest tests the adapters with real servers. It is a separate module and is not
// imported by others, so users of an adapter do not get the servers and tools that only its tests
// need.
package brokertest
