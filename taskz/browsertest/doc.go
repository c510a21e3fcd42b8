// Package browsertest tests the page of package taskz in a real browser. It is a separate module
// and is not imported by others, so users of taskz do not get the client of the browser.
package browsertest
