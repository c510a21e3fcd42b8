package taskz

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFinding(t *testing.T) {
	const calls = "\nsync.(*Mutex).Lock(...)\n\t/usr/local/go/src/sync/mutex.go:46\n" +
		"example.com/shop/v2/stock.(*Shelf).take(0xc000012345, {0x1, 0x2})\n\t/home/me/shop/stock/shelf.go:17 +0x1d\n" +
		"github.com/afterspan/afterspan/core.callFunc({0x8e5cb8, 0x26}, 0x26)\n\t/x/core/call.go:28 +0xec\n" +
		"created by example.com/y.z in goroutine 1\n\t/x/core/worker.go:45 +0x36"
	for _, tc := range []struct{ stack, want string }{
		{"goroutine 7 [sync.Mutex.Lock, 5 minutes]:" + calls, "It waits: sync.Mutex.Lock for 5 minutes, in stock.(*Shelf).take at stock/shelf.go:17."},
		{
			"goroutine 7 [chan receive (leaked), 12 minutes, locked to thread]:" + calls,
			"It waits: chan receive for 12 minutes, in stock.(*Shelf).take at stock/shelf.go:17.",
		},
		{"goroutine 7 [select]:\nmain.main.func1({0x1, 0x2})\n\t/src/main.go:3", "It waits: select, in main.main.func1 at src/main.go:3."},
		{"goroutine 7 [select, synctest bubble 1]:\ntime.Sleep(0x1)\n\t/go/time.go:1", "It waits: select."},
		{"goroutine 7 [running]:\nmain.(*T[...]).f(...)\n\t/src/main.go:3", "It is busy, in main.(*T[...]).f at src/main.go:3."},
		{"goroutine 7 [runnable]:\nruntime.x()\n\t/go/x.go:1", "It is busy."},
		{"", "It waits: unknown."},
	} {
		require.Equal(t, tc.want, finding(tc.stack))
	}
}
