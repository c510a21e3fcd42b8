package webframeworks

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
)

// fiberContext is what fiber.Ctx of both versions has.
type fiberContext interface {
	Params(key string, defaultValue ...string) string
	Query(key string, defaultValue ...string) string
	Get(key string, defaultValue ...string) string
	Cookies(key string, defaultValue ...string) string
	Path(override ...string) string
	OriginalURL() string
}

// requestStrings are strings of a request, each of which ends with its order.
var requestStrings = map[string]func(fiberContext) string{
	"Params":      func(c fiberContext) string { return c.Params("id") },
	"Query":       func(c fiberContext) string { return c.Query("order") },
	"Get":         func(c fiberContext) string { return c.Get("X-Order") },
	"Cookies":     func(c fiberContext) string { return c.Cookies("order") },
	"Path":        func(c fiberContext) string { return c.Path() },
	"OriginalURL": func(c fiberContext) string { return c.OriginalURL() },
}

// The strings of a request change when a later request gets their memory, unless fiber copies them.
func TestFiberStrings(t *testing.T) {
	for version, start := range fibers {
		for name, stringOf := range requestStrings {
			run := func(immutable bool) *service {
				s := newService(t)
				s.serve(t, start(s, immutable, func(ctx context.Context, c fiberContext) {
					kept := stringOf(c)
					s.spawn(ctx, strings.Clone(c.Params("id")), func(context.Context) string {
						return strings.Clone(kept[len(kept)-len("order-00"):])
					})
				}))
				return s
			}
			t.Run(version+" "+name, func(t *testing.T) {
				assertHappens(t, changed, func() *service { return run(false) })
			})
			t.Run(version+" "+name+" immutable", func(t *testing.T) { run(true).assertOwnValues(t) })
		}
	}
}

// bound is filled by fiber.
type bound struct {
	Order string `query:"order" reqHeader:"x-order" header:"x-order" cookie:"order" params:"id" uri:"id"`
}

// The strings of a struct that fiber v2 fills change like the others.
func TestFiber2Structs(t *testing.T) {
	for name, fill := range map[string]func(*fiber.Ctx, any) error{
		"QueryParser":     (*fiber.Ctx).QueryParser,
		"ReqHeaderParser": (*fiber.Ctx).ReqHeaderParser,
		"CookieParser":    (*fiber.Ctx).CookieParser,
		"ParamsParser":    (*fiber.Ctx).ParamsParser,
	} {
		run := func(immutable bool) *service {
			s := newService(t)
			s.serve(t, s.fiber2(func(c *fiber.Ctx) error {
				var b bound
				err := fill(c, &b)
				s.spawnBound(c.UserContext(), strings.Clone(c.Params("id")), &b)
				return err
			}, fiber.Config{Immutable: immutable}))
			return s
		}
		t.Run(name, func(t *testing.T) {
			assertHappens(t, changed, func() *service { return run(false) })
		})
		t.Run(name+" immutable", func(t *testing.T) { run(true).assertOwnValues(t) })
	}
}

// In v3, they change even if Immutable is set, except for those of the path.
func TestFiber3Structs(t *testing.T) {
	for name, fill := range map[string]func(*fiber3.Bind, any) error{
		"Query":  (*fiber3.Bind).Query,
		"Header": (*fiber3.Bind).Header,
		"Cookie": (*fiber3.Bind).Cookie,
		"URI":    (*fiber3.Bind).URI,
	} {
		run := func(immutable bool) *service {
			s := newService(t)
			s.serve(t, s.fiber3(func(c fiber3.Ctx) error {
				var b bound
				err := fill(c.Bind(), &b)
				s.spawnBound(c.Context(), strings.Clone(c.Params("id")), &b)
				return err
			}, fiber3.Config{Immutable: immutable}))
			return s
		}
		t.Run(name, func(t *testing.T) {
			assertHappens(t, changed, func() *service { return run(false) })
		})
		t.Run(name+" immutable", func(t *testing.T) {
			if name == "URI" {
				run(true).assertOwnValues(t)
			} else {
				assertHappens(t, changed, func() *service { return run(true) })
			}
		})
	}
}

func (s *service) spawnBound(ctx context.Context, order string, b *bound) {
	s.spawn(ctx, order, func(context.Context) string { return strings.Clone(b.Order) })
}

// changed: a task read something else than what its request had, not always another order.
func changed(s *service) bool {
	return slices.ContainsFunc(orders, func(order string) bool { return s.seen[order].value != order })
}
