package webframeworks

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// With the contexts that the page recommends, each task reads the values of its own request, and is
// linked to its span.
func TestRecommendedContexts(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *service) sender{
		"net/http: r.Context()": func(t *testing.T, s *service) sender {
			return s.netHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
				s.spawn(r.Context(), r.PathValue("id"), valueOf)
			})
		},
		"gin: c.Request.Context()": func(t *testing.T, s *service) sender {
			return s.gin(t, func(c *gin.Context) { s.spawn(c.Request.Context(), c.Param("id"), valueOf) })
		},
		"gin: c.Copy() with the fallback": func(t *testing.T, s *service) sender {
			return s.gin(t, func(c *gin.Context) { s.spawn(c.Copy(), c.Param("id"), valueOf) }, fallback)
		},
		"gin: as on the page": func(t *testing.T, s *service) sender {
			useOnPage(s)
			return s.gin(t, ginOrder)
		},
		"echo v4: c.Request().Context()": func(t *testing.T, s *service) sender {
			return s.echo4(t, func(c echo.Context) error {
				s.spawn(c.Request().Context(), c.Param("id"), valueOf)
				return nil
			})
		},
		"echo v5: c.Request().Context()": func(t *testing.T, s *service) sender {
			return s.echo5(t, func(c *echo5.Context) error {
				s.spawn(c.Request().Context(), c.Param("id"), valueOf)
				return nil
			})
		},
		"fiber v2: c.UserContext()": func(_ *testing.T, s *service) sender {
			return s.fiber2(func(c *fiber.Ctx) error {
				s.spawn(c.UserContext(), strings.Clone(c.Params("id")), valueOf)
				return nil
			})
		},
		"fiber v2: as on the page": func(_ *testing.T, s *service) sender {
			useOnPage(s)
			return s.fiber2(fiberOrder)
		},
		"fiber v3: c.Context()": func(_ *testing.T, s *service) sender {
			return s.fiber3(func(c fiber3.Ctx) error {
				s.spawn(c.Context(), strings.Clone(c.Params("id")), valueOf)
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.serve(t, start(t, s))
			s.assertOwnValues(t)
			for _, order := range orders {
				s.assertLinked(t, order)
			}
		})
	}
}

func (s *service) assertOwnValues(t *testing.T) {
	t.Helper()
	for _, order := range orders {
		assert.Equal(t, order, s.seen[order].value)
	}
}

// assertLinked checks that the task of an order links to its "spawn send_receipt", which is a child of
// the span of its request.
func (s *service) assertLinked(t *testing.T, order string) {
	t.Helper()
	server := s.span(t, func(span sdktrace.ReadOnlySpan) bool {
		return span.SpanKind() == trace.SpanKindServer && span.SpanContext().TraceID() == traceOf(order)
	})
	spawn := s.span(t, func(span sdktrace.ReadOnlySpan) bool {
		return span.Name() == "spawn send_receipt" && span.Parent().Equal(server.SpanContext())
	})
	links := s.taskSpan(t, order).Links()
	require.Len(t, links, 1)
	assert.True(t, links[0].SpanContext.Equal(spawn.SpanContext()))
}

// assertNotLinked checks that no task has a link.
func (s *service) assertNotLinked(t *testing.T) {
	t.Helper()
	for _, order := range orders {
		assert.Empty(t, s.taskSpan(t, order).Links())
	}
}

func (s *service) taskSpan(t *testing.T, order string) sdktrace.ReadOnlySpan {
	t.Helper()
	return s.span(t, func(span sdktrace.ReadOnlySpan) bool {
		return span.SpanContext().Equal(s.seen[order].span)
	})
}

// span returns the one span that is wanted.
func (s *service) span(t *testing.T, wanted func(sdktrace.ReadOnlySpan) bool) sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, span := range s.spans.Ended() {
		if wanted(span) {
			found = append(found, span)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}
