package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// An agent answers questions from documents, in three nodes: plan, search and answer. What must not hold
// the answer up it leaves to background tasks: see tasks.go.
type agent struct {
	name   string
	thread string // the conversation
	folder string // of the documents
	docs   fs.FS

	tracer trace.Tracer
	tasks  *core.Manager

	outDir        string // where the transcript goes
	events        *publisher.Ordered
	webhookURL    string
	notifyTimeout time.Duration

	transcript []message
}

// A message is one step of the conversation, as the transcript has it.
type message struct {
	Role    string `json:"role"` // user, tool or assistant
	Name    string `json:"name,omitempty"`
	Content string `json:"content"`
}

// A plan is how a question is to be answered.
type plan struct {
	terms []string // what to look for
	files []string // and where
}

// findings are what the search found.
type findings struct {
	sections   []section
	candidates []int                                     // which of the sections have a term of the question
	index      func(ctx context.Context) (*index, error) // waits for the task that builds it
}

func newAgent(r *resources, tp trace.TracerProvider, tasks *core.Manager) *agent {
	return &agent{
		name:          "docs_agent",
		thread:        "thread-1",
		folder:        r.docs.Name(),
		docs:          r.docs.FS(),
		tracer:        tp.Tracer(scopeName),
		tasks:         tasks,
		outDir:        r.outDir,
		events:        publisher.NewOrdered(tasks, publisher.Console(r.events, publisher.WithJSONLines())),
		webhookURL:    "http://" + r.webhook.Addr().String(),
		notifyTimeout: 150 * time.Millisecond,
	}
}

// invoke answers a question.
func (a *agent) invoke(ctx context.Context, question string) (answer, error) {
	var result answer
	err := a.invokeSpan(ctx, func(ctx context.Context) error {
		a.note("user", "", question)
		p, err := a.plan(ctx, question)
		if err != nil {
			return err
		}
		found, err := a.search(ctx, p)
		if err != nil {
			return err
		}
		result, err = a.answer(ctx, p, found)
		return err
	})
	return result, err
}

// plan decides what to look for, and where.
func (a *agent) plan(ctx context.Context, question string) (plan, error) {
	p := plan{terms: termsOf(question)}
	err := a.node(ctx, "plan", func(ctx context.Context) error {
		if len(p.terms) == 0 {
			return errors.New("the question has no word to look for")
		}
		a.publishEvent(ctx, "plan", publisher.TypeStart, fmt.Sprintf("looking for %q", p.terms))
		return a.tool(ctx, "list_files", func(ctx context.Context) (out string, err error) {
			p.files, err = listFiles(ctx, a.docs)
			if err == nil && len(p.files) == 0 {
				err = fmt.Errorf("%s: %w", a.folder, errNoDocuments)
			}
			return fmt.Sprintf("%d files", len(p.files)), err
		})
	})
	return p, err
}

// search reads the documents, has them indexed in the background, and meanwhile scans them for the terms.
func (a *agent) search(ctx context.Context, p plan) (findings, error) {
	var found findings
	err := a.node(ctx, "search", func(ctx context.Context) error {
		err := a.tool(ctx, "read_files", func(ctx context.Context) (out string, err error) {
			found.sections, err = readSections(ctx, a.docs, p.files)
			return fmt.Sprintf("%d sections", len(found.sections)), err
		})
		if err != nil {
			return err
		}
		found.index = a.indexDocuments(ctx, found.sections)
		a.publishEvent(ctx, "search", publisher.TypeProgress, fmt.Sprintf("read %d sections", len(found.sections)))
		return a.tool(ctx, "scan", func(context.Context) (out string, err error) {
			found.candidates = scan(found.sections, p.terms)
			return fmt.Sprintf("%d sections with %q", len(found.candidates), p.terms), nil
		})
	})
	return found, err
}

// answer ranks what was found with the index, and quotes the best of it. Then it leaves to the background
// what nobody waits for.
func (a *agent) answer(ctx context.Context, p plan, found findings) (answer, error) {
	var result answer
	err := a.node(ctx, "answer", func(ctx context.Context) error {
		index, err := found.index(ctx) // the one task that has to be waited for
		if err != nil {
			return err
		}
		hits := index.rank(p.terms, found.candidates)
		result = answer{quotes: quoteBest(index, p.terms, found.sections, hits), read: len(found.sections)}
		a.note("assistant", a.name, result.String())

		a.publishEvent(ctx, "answer", publisher.TypeResult, result.String())
		a.writeTranscript(ctx)
		a.notify(ctx, result)
		a.scoreSources(ctx, result.quotes)
		return nil
	})
	return result, err
}

// note adds a step to the transcript.
func (a *agent) note(role, name, content string) {
	a.transcript = append(a.transcript, message{Role: role, Name: name, Content: content})
}
