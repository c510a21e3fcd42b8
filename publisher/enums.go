package publisher

// Kind is what an event is about. The constants are Agentflow's. Values of your own are welcome.
type Kind string

// The kinds that Agentflow defines.
const (
	KindGraphExecution Kind = "graph_execution"
	KindNodeExecution  Kind = "node_execution"
	KindToolExecution  Kind = "tool_execution"
	KindStreaming      Kind = "streaming"
	KindLLMCall        Kind = "llm_call"
	KindRealtime       Kind = "realtime"
)

// Type is what happened: something started, ended or failed, for example. The constants are
// Agentflow's. Values of your own are welcome.
type Type string

// The types that Agentflow defines.
const (
	TypeStart       Type = "start"
	TypeProgress    Type = "progress"
	TypeResult      Type = "result"
	TypeEnd         Type = "end"
	TypeUpdate      Type = "update"
	TypeError       Type = "error"
	TypeInterrupted Type = "interrupted"
)

// ContentType is the type of a piece of content. The constants are Agentflow's. Values of your own
// are welcome.
type ContentType string

// The content types that Agentflow defines.
const (
	ContentText       ContentType = "text"
	ContentMessage    ContentType = "message"
	ContentReasoning  ContentType = "reasoning"
	ContentToolCall   ContentType = "tool_call"
	ContentToolResult ContentType = "tool_result"
	ContentImage      ContentType = "image"
	ContentAudio      ContentType = "audio"
	ContentVideo      ContentType = "video"
	ContentDocument   ContentType = "document"
	ContentTranscript ContentType = "transcript"
	ContentData       ContentType = "data"
	ContentState      ContentType = "state"
	ContentUpdate     ContentType = "update"
	ContentError      ContentType = "error"
)
