package publisher

// Kind is what an event is about. The constants are Agentflow's. Values of your own are welcome.
type Kind string

// The kinds that Agentflow knows.
const (
	GraphExecution Kind = "graph_execution"
	NodeExecution  Kind = "node_execution"
	ToolExecution  Kind = "tool_execution"
	Streaming      Kind = "streaming"
	LLMCall        Kind = "llm_call"
	Realtime       Kind = "realtime"
)

// Type is what happened to what an event is about. The constants are Agentflow's. Values of your own
// are welcome.
type Type string

// The types that Agentflow knows.
const (
	Start       Type = "start"
	Progress    Type = "progress"
	Result      Type = "result"
	End         Type = "end"
	Update      Type = "update"
	Error       Type = "error"
	Interrupted Type = "interrupted"
)

// ContentType is what a part of an event's content is. The constants are Agentflow's. Values of your own
// are welcome.
type ContentType string

// The content types that Agentflow knows.
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
