package webframeworks

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/valyala/fasthttp"
)

// What the page advises against goes wrong. If a case fails, a framework has mended it: correct the page.
func TestMisuse(t *testing.T) {
	for name, test := range map[string]struct {
		start    func(*testing.T, *service) sender
		inFlight bool
		outcome  outcome
	}{
		"net/http: the body": {outcome: gone, start: func(t *testing.T, s *service) sender {
			return s.netHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
				s.spawn(r.Context(), r.PathValue("id"), func(context.Context) string { return readAll(r.Body) })
			})
		}},
		"gin: a key of c as ctx": {outcome: ofAnother, start: func(t *testing.T, s *service) sender {
			return s.gin(t, func(c *gin.Context) { s.spawn(c, c.Param("id"), local) })
		}},
		"gin: a value of c as ctx": {outcome: ofAnother, start: func(t *testing.T, s *service) sender {
			return s.gin(t, func(c *gin.Context) { s.spawn(c, c.Param("id"), valueOf) }, fallback)
		}},
		"gin: a parameter of c": {outcome: ofAnother, start: func(t *testing.T, s *service) sender {
			return s.gin(t, func(c *gin.Context) {
				s.spawn(c.Request.Context(), c.Param("id"), func(context.Context) string { return c.Param("id") })
			})
		}},
		"echo v4: a parameter of c": {outcome: ofAnother, start: func(t *testing.T, s *service) sender {
			return s.echo4(t, func(c echo.Context) error {
				s.spawn(c.Request().Context(), c.Param("id"), func(context.Context) string { return c.Param("id") })
				return nil
			})
		}},
		"echo v5: a parameter of c": {outcome: ofAnother, start: func(t *testing.T, s *service) sender {
			return s.echo5(t, func(c *echo5.Context) error {
				s.spawn(c.Request().Context(), c.Param("id"), func(context.Context) string { return c.Param("id") })
				return nil
			})
		}},
		"fiber v2: c.Context() as ctx":                 {outcome: gone, start: fiber2Context},
		"fiber v2: c.Context() as ctx, busy server":    {outcome: ofAnother, inFlight: true, start: fiber2Context},
		"fiber v2: a parameter of c":                   {outcome: panics, start: fiber2Param},
		"fiber v2: a parameter of c, busy server":      {outcome: ofAnother, inFlight: true, start: fiber2Param},
		"fiber v3: c as ctx":                           {outcome: gone, start: fiber3Ctx},
		"fiber v3: c as ctx, busy server":              {outcome: ofAnother, inFlight: true, start: fiber3Ctx},
		"fiber v3: c.RequestCtx() as ctx":              {outcome: gone, start: fiber3RequestCtx},
		"fiber v3: c.RequestCtx() as ctx, busy server": {outcome: ofAnother, inFlight: true, start: fiber3RequestCtx},
		"fiber v3: a parameter of c":                   {outcome: panics, start: fiber3Param},
		"fiber v3: a parameter of c, busy server":      {outcome: ofAnother, inFlight: true, start: fiber3Param},
	} {
		t.Run(name, func(t *testing.T) {
			assertHappens(t, test.outcome, func() *service {
				s := newService(t)
				s.inFlight = test.inFlight
				s.serve(t, test.start(t, s))
				return s
			})
		})
	}
}

func fiber2Context(_ *testing.T, s *service) sender {
	return s.fiber2(func(c *fiber.Ctx) error {
		s.spawn(c.Context(), strings.Clone(c.Params("id")), local)
		return nil
	})
}

func fiber2Param(_ *testing.T, s *service) sender {
	return s.fiber2(func(c *fiber.Ctx) error {
		read := func(context.Context) string { return strings.Clone(c.Params("id")) }
		s.spawn(c.UserContext(), read(nil), read)
		return nil
	})
}

func fiber3Ctx(_ *testing.T, s *service) sender {
	return s.fiber3(func(c fiber3.Ctx) error {
		s.spawn(c, strings.Clone(c.Params("id")), local)
		return nil
	})
}

func fiber3RequestCtx(_ *testing.T, s *service) sender {
	return s.fiber3(func(c fiber3.Ctx) error {
		s.spawn(c.RequestCtx(), strings.Clone(c.Params("id")), local)
		return nil
	})
}

func fiber3Param(_ *testing.T, s *service) sender {
	return s.fiber3(func(c fiber3.Ctx) error {
		read := func(context.Context) string { return strings.Clone(c.Params("id")) }
		s.spawn(c.Context(), read(nil), read)
		return nil
	})
}

// local returns the value that gin and fiber keep under "order" by themselves.
func local(ctx context.Context) string { return stringOf(ctx, "order") }

// readAll returns "" if r cannot be read.
func readAll(r io.Reader) string {
	content, err := io.ReadAll(r)
	if err != nil {
		return ""
	}
	return string(content)
}

// An outcome tells whether tasks read what they should not have kept.
type outcome func(*service) bool

// ofAnother: a task read what belongs to another request.
func ofAnother(s *service) bool {
	return slices.ContainsFunc(orders, func(order string) bool {
		value := s.seen[order].value
		return value != order && slices.Contains(orders, value)
	})
}

// gone: the tasks read nothing.
func gone(s *service) bool { return s.allRead("") }

// panics: the tasks panicked.
func panics(s *service) bool { return s.allRead(panicked) }

// allRead reports whether all tasks read value. It does not look at the last one: no request came
// after its own.
func (s *service) allRead(value string) bool {
	return !slices.ContainsFunc(orders[:len(orders)-1], func(order string) bool {
		sighting, ran := s.seen[order]
		return !ran || sighting.value != value
	})
}

// assertHappens runs a service until the outcome is the one that is looked for. That can take a few
// tries: a sync.Pool may drop what is put into it; under the race detector it does so at random.
func assertHappens(t *testing.T, outcome outcome, run func() *service) {
	t.Helper()
	for range 50 {
		if outcome(run()) {
			return
		}
	}
	assert.Fail(t, "it did not happen")
}

// Without the fallback, a gin.Context has its keys, but neither the values nor the span of its request.
func TestGinWithoutFallback(t *testing.T) {
	for name, read := range map[string]func(context.Context) string{"key": local, "value": valueOf} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.serve(t, s.gin(t, func(c *gin.Context) { s.spawn(c.Copy(), c.Param("id"), read) }))
			if name == "key" {
				s.assertOwnValues(t)
			} else {
				assert.True(t, gone(s))
			}
			s.assertNotLinked(t)
		})
	}
}

// Which of the objects that frameworks give to handlers compile as a ctx.
func TestWhatIsAContext(t *testing.T) {
	ctx := reflect.TypeFor[context.Context]()
	for object, is := range map[reflect.Type]bool{
		reflect.TypeFor[*gin.Context]():         true,
		reflect.TypeFor[echo.Context]():         false,
		reflect.TypeFor[*echo5.Context]():       false,
		reflect.TypeFor[*fiber.Ctx]():           false,
		reflect.TypeFor[fiber3.Ctx]():           true,
		reflect.TypeFor[*fasthttp.RequestCtx](): true,
	} {
		assert.Equal(t, is, object.Implements(ctx), object)
	}
}
