package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/afterspan/afterspan/examples/internal/pretend"
)

// ruleModel stands where an agent has its language model. It is made up: it looks up each word of the question, then
// reads what was found, then puts that together to an answer. If nothing was found it has none.
type ruleModel struct {
	think    time.Duration
	progress func(ctx context.Context, part string)
}

var _ model.BaseChatModel = (*ruleModel)(nil)

// Generate returns calls of tools, an answer, or an empty message.
func (m *ruleModel) Generate(ctx context.Context, history []*schema.Message, _ ...model.Option) (*schema.Message, error) {
	if err := pretend.Work(ctx, m.think); err != nil {
		return nil, err
	}
	found, err := results[[]declaration](history, toolFind)
	if err != nil {
		return nil, err
	}
	read, err := results[documented](history, toolRead)
	if err != nil {
		return nil, err
	}
	var calls []schema.ToolCall
	switch {
	case len(read) > 0:
		text, err := m.answer(ctx, read)
		return schema.AssistantMessage(text, nil), err
	case len(found) > 0:
		for _, d := range slices.Concat(found...) {
			calls = appendCall(calls, toolRead, readInput{File: d.File, Line: d.Line})
		}
	default:
		for _, name := range names(history) {
			calls = appendCall(calls, toolFind, findInput{Name: name})
		}
	}
	return schema.AssistantMessage("", calls), nil
}

// Stream is what eino wants of a model. The graph is run by Invoke, which does not call it.
func (m *ruleModel) Stream(
	ctx context.Context, history []*schema.Message, opts ...model.Option,
) (*schema.StreamReader[*schema.Message], error) {
	message, err := m.Generate(ctx, history, opts...)
	return schema.StreamReaderFromArray([]*schema.Message{message}), err
}

// answer writes the answer, and tells of each part as it is there.
func (m *ruleModel) answer(ctx context.Context, read []documented) (string, error) {
	var parts []string
	for _, d := range read {
		if err := pretend.Work(ctx, m.think); err != nil {
			return "", err
		}
		part := fmt.Sprintf("%s, a %s at %s:%d. %s", d.Name, d.Kind, d.File, d.Line, d.Doc)
		m.progress(ctx, part)
		parts = append(parts, part)
	}
	return strings.Join(parts, "\n"), nil
}

var (
	word = regexp.MustCompile(`\pL[\pL\d_]+`)
	// filler are words that are not looked up.
	filler = strings.Fields("an and are as at be declared defined do does find for how in is it me of on or say the they this to what where which who why")
)

const mostNames = 5

// names returns the words of the question that may be names.
func names(history []*schema.Message) (names []string) {
	for _, message := range history {
		if message.Role != schema.User {
			continue
		}
		for _, w := range word.FindAllString(message.Content, -1) {
			if !slices.Contains(filler, strings.ToLower(w)) && !slices.Contains(names, w) {
				names = append(names, w)
			}
		}
	}
	return names[:min(len(names), mostNames)]
}

// results returns what a tool has found so far.
func results[T any](history []*schema.Message, tool string) (all []T, err error) {
	for _, message := range history {
		if message.Role != schema.Tool || message.ToolName != tool {
			continue
		}
		var result T
		if err := json.Unmarshal([]byte(message.Content), &result); err != nil {
			return nil, fmt.Errorf("reading the result of %s: %w", tool, err)
		}
		all = append(all, result)
	}
	return all, nil
}

func appendCall(calls []schema.ToolCall, tool string, arguments any) []schema.ToolCall {
	text, err := json.Marshal(arguments)
	if err != nil { // names and numbers: it does not happen
		panic(err)
	}
	return append(calls, schema.ToolCall{
		ID: fmt.Sprintf("%s-%d", tool, len(calls)+1), Type: "function",
		Function: schema.FunctionCall{Name: tool, Arguments: string(text)},
	})
}
