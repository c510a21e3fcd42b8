package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"
	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// The nodes.
const (
	nodePrepare  = "prepare"
	nodeModel    = "model"
	nodeTools    = "tools"
	nodeAnswer   = "answer"
	nodeHandOver = "hand_over"
)

// agent is what the nodes have in common. What differs from run to run is in their context and in the graph's state.
type agent struct {
	config
	events           *publisher.Ordered
	words, toolCalls metric.Int64Counter
}

// state is what the nodes of one run share. eino locks it.
type state struct {
	history []*schema.Message
}

// An answer is what a run results in.
type answer struct {
	Text   string
	Person bool // a person has to find the answer
}

func newAgent(c config, tasks *core.Manager) (*agent, error) {
	words, err1 := c.meter.Int64Counter("agentgraph.words", metric.WithDescription("Words of the conversations."))
	calls, err2 := c.meter.Int64Counter("agentgraph.tool_calls", metric.WithDescription("Calls of tools."))
	// One for all runs: the order of a thread's events is kept between them, too.
	events := publisher.NewOrdered(tasks, c.publisher)
	return &agent{config: c, events: events, words: words, toolCalls: calls}, errors.Join(err1, err2)
}

// graph puts the nodes together:
//
//	START → prepare → model ─┬→ answer → END
//	                  ↑      ├→ hand_over → END
//	                  └─ tools
func (a *agent) graph(ctx context.Context) (compose.Runnable[string, answer], error) {
	tools, err := newTools(ctx, a.sources)
	if err != nil {
		return nil, err
	}
	g := compose.NewGraph[string, answer](compose.WithGenLocalState(func(context.Context) *state { return new(state) }))
	err = errors.Join(
		g.AddLambdaNode(nodePrepare, compose.InvokableLambda(a.prepare), compose.WithNodeName(nodePrepare)),
		g.AddChatModelNode(nodeModel, &ruleModel{think: a.think, progress: a.progress}, compose.WithNodeName(nodeModel),
			compose.WithStatePreHandler(remember), compose.WithStatePostHandler(rememberReply)),
		g.AddToolsNode(nodeTools, tools, compose.WithNodeName(nodeTools)),
		g.AddLambdaNode(nodeAnswer, compose.InvokableLambda(a.answer), compose.WithNodeName(nodeAnswer)),
		g.AddLambdaNode(nodeHandOver, compose.InvokableLambda(a.handOver), compose.WithNodeName(nodeHandOver)),

		g.AddEdge(compose.START, nodePrepare),
		g.AddEdge(nodePrepare, nodeModel),
		g.AddBranch(nodeModel, compose.NewGraphBranch(next, map[string]bool{nodeTools: true, nodeAnswer: true, nodeHandOver: true})),
		g.AddEdge(nodeTools, nodeModel),
		g.AddEdge(nodeAnswer, compose.END),
		g.AddEdge(nodeHandOver, compose.END),
	)
	if err != nil {
		return nil, err
	}
	return g.Compile(ctx, compose.WithGraphName("source_agent"), compose.WithMaxRunSteps(12))
}

// remember gives the model the whole conversation, of which the node before it has added the last part.
func remember(_ context.Context, added []*schema.Message, s *state) ([]*schema.Message, error) {
	s.history = append(s.history, added...)
	return slices.Clone(s.history), nil
}

func rememberReply(_ context.Context, reply *schema.Message, s *state) (*schema.Message, error) {
	s.history = append(s.history, reply)
	return reply, nil
}

// next is the branch: what the model said decides.
func next(_ context.Context, reply *schema.Message) (string, error) {
	switch {
	case len(reply.ToolCalls) > 0:
		return nodeTools, nil
	case reply.Content != "":
		return nodeAnswer, nil
	default:
		return nodeHandOver, nil
	}
}

func (a *agent) prepare(_ context.Context, question string) ([]*schema.Message, error) {
	if strings.TrimSpace(question) == "" {
		return nil, errors.New("the question is empty")
	}
	return []*schema.Message{
		schema.SystemMessage("Say what the things are that the question names, and where they are declared."),
		schema.UserMessage(question),
	}, nil
}

// answer passes the model's answer on. Neither those who are notified of it nor the metrics hold it up.
func (a *agent) answer(ctx context.Context, reply *schema.Message) (answer, error) {
	return a.finish(ctx, answer{Text: reply.Content})
}

// handOver notifies a person, who may know what the model does not.
func (a *agent) handOver(ctx context.Context, _ *schema.Message) (answer, error) {
	return a.finish(ctx, answer{Text: "I have found nothing, and asked a person.", Person: true})
}

func (a *agent) finish(ctx context.Context, result answer) (answer, error) {
	var history []*schema.Message
	err := compose.ProcessState(ctx, func(_ context.Context, s *state) error {
		history = slices.Clone(s.history) // for a task, which may run when the state is gone
		return nil
	})
	if err != nil {
		return result, fmt.Errorf("reading the conversation: %w", err)
	}
	return result, errors.Join(a.notify(ctx, result), a.collectMetrics(ctx, history))
}
