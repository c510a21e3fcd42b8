package otelmw

// A goroutine begins with 2 KiB of stack, and the SDK needs between 4 and 8 to start a span. Left alone, the stack doubles
// twice, deep in there, and each time all the frames above are looked up and moved, one by one: that is a third of the CPU time of
// a task with a span. So it is made large enough at once, while there are few frames. BenchmarkTaskAgainst shows the difference.

// room is what the SDK needs, with a sampler and a processor that do not need much.
type room [4 << 10]byte

// growStack makes room on the stack. The runtime looks for it where a function is called that has a frame as large; if it is there
// already, as on a goroutine that ran a task before, that one comparison is all there is to do.
//
//go:noinline
func growStack(never bool) {
	if never { // or the frame would be cleared
		var frame room
		touch(&frame)
	}
}

//go:noinline
func touch(frame *room) { frame[0]++ }
