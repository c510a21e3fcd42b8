package webframeworks

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/contrib/otelfiber/v2"
	otelfiber3 "github.com/gofiber/contrib/v3/otel"
	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	echotel "github.com/labstack/echo-opentelemetry"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Each server calls a handler for POST /orders/:id, within a span and with the value of [key]. Those
// that have values of their own hold the order under "order", too.

func (s *service) netHTTP(t *testing.T, handler http.HandlerFunc) sender {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}", handler)
	return listen(t, otelhttp.NewHandler(mux, "order",
		otelhttp.WithTracerProvider(s.traces), otelhttp.WithPropagators(propagator)))
}

func (s *service) gin(t *testing.T, handler gin.HandlerFunc, opts ...gin.OptionFunc) sender {
	gin.SetMode(gin.TestMode)
	engine := gin.New(opts...)
	engine.Use(otelgin.Middleware("", otelgin.WithTracerProvider(s.traces), otelgin.WithPropagators(propagator)))
	engine.Use(func(c *gin.Context) { c.Set("order", c.GetHeader("X-Order")) })
	engine.POST("/orders/:id", handler)
	return listen(t, engine)
}

func fallback(engine *gin.Engine) { engine.ContextWithFallback = true }

func (s *service) echo4(t *testing.T, handler echo.HandlerFunc) sender {
	e := echo.New()
	e.Use(otelecho.Middleware("", otelecho.WithTracerProvider(s.traces), otelecho.WithPropagators(propagator)))
	e.POST("/orders/:id", handler)
	return listen(t, e)
}

func (s *service) echo5(t *testing.T, handler echo5.HandlerFunc) sender {
	e := echo5.New()
	e.Use(echotel.NewMiddlewareWithConfig(echotel.Config{TracerProvider: s.traces, Propagators: propagator}))
	e.POST("/orders/:id", handler)
	return listen(t, e)
}

// listen starts an HTTP server that puts the value of [key] into the context of each request.
func listen(t *testing.T, handler http.Handler) sender {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(withOrder(r.Context(), r.Header.Get("X-Order"))))
	}))
	t.Cleanup(server.Close)
	return server.Client().Do
}

func (s *service) fiber2(handler fiber.Handler, configs ...fiber.Config) sender {
	app := fiber.New(configs...)
	app.Use(otelfiber.Middleware(otelfiber.WithTracerProvider(s.traces), otelfiber.WithPropagators(propagator)))
	app.Use(func(c *fiber.Ctx) error {
		c.SetUserContext(withOrder(c.UserContext(), c.Get("X-Order")))
		c.Locals("order", strings.Clone(c.Get("X-Order")))
		return c.Next()
	})
	app.Post("/orders/:id", handler)
	return func(r *http.Request) (*http.Response, error) { return app.Test(r, -1) }
}

func (s *service) fiber3(handler fiber3.Handler, configs ...fiber3.Config) sender {
	app := fiber3.New(configs...)
	app.Use(otelfiber3.Middleware(otelfiber3.WithTracerProvider(s.traces), otelfiber3.WithPropagators(propagator)))
	app.Use(func(c fiber3.Ctx) error {
		c.SetContext(withOrder(c.Context(), c.Get("X-Order")))
		c.Locals("order", strings.Clone(c.Get("X-Order")))
		return c.Next()
	})
	app.Post("/orders/:id", handler)
	return func(r *http.Request) (*http.Response, error) {
		return app.Test(r, fiber3.TestConfig{Timeout: 0})
	}
}
