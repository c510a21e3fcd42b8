package webframeworks

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The code of the page. Its tasks and its mail are those of the service that [useOnPage] was given.

func ginOrder(c *gin.Context) {
	id := c.Param("id")
	tasks.Go(c.Request.Context(), "send_receipt", func(ctx context.Context) error {
		return mail.Send(ctx, id)
	})
}

func fiberOrder(c *fiber.Ctx) error {
	id := strings.Clone(c.Params("id")) // or set fiber.Config.Immutable, which copies all of them
	tasks.Go(c.UserContext(), "send_receipt", func(ctx context.Context) error {
		return mail.Send(ctx, id)
	}, core.WithAttrs(slog.String("order_id", id)))
	return nil
}

var (
	tasks *core.Manager
	mail  mailer
)

type mailer struct{ service *service }

// Send notes the value of ctx.
func (m mailer) Send(ctx context.Context, order string) error {
	m.service.note(ctx, order, valueOf(ctx))
	return nil
}

func useOnPage(s *service) { tasks, mail = s.tasks, mailer{s} }

// Every block of Go in the page stands in this file, line by line.
func TestGoBlocksAreCompiled(t *testing.T) {
	code := flat(read(t, "page_test.go"))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.True(t, strings.Contains(code, flat(block[1])), "page_test.go has not:\n%s", block[1])
	}
}

// The versions in the page are those of go.mod.
func TestVersions(t *testing.T) {
	mod := read(t, "go.mod")
	versions := regexp.MustCompile(`v\d+\.\d+\.\d+`).FindAllString(page(t), -1)
	require.NotEmpty(t, versions)
	for _, version := range versions {
		assert.Contains(t, mod, " "+version+"\n")
	}
}

func page(t *testing.T) string {
	t.Helper()
	return read(t, "../../docs/web-frameworks.md")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// flat returns code without indentation and blank lines.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
