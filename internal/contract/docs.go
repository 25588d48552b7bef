package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Register adds the routes that show the contract: /openapi.yaml,
// /openapi.json, /docs with its assets (all from the binary, nothing from
// another host) and /docs/errors/{code}.
func (c *Contract) Register(e *echo.Echo) {
	e.GET("/openapi.yaml", file("application/yaml; charset=utf-8", c.YAML()))
	e.GET("/openapi.json", file("application/json; charset=utf-8", c.JSON()))
	ui := v5emb.NewWithConfig(swgui.Config{
		SettingsUI: map[string]string{
			"persistAuthorization": "false", // a token must not outlive the page
			"tryItOutEnabled":      "true",
			"docExpansion":         `"none"`,
			"filter":               "true",
		},
	})("Shuke API", "/openapi.json", "/docs")
	docs := func(ctx echo.Context) error {
		h := ctx.Response().Header()
		if ctx.Path() == "/docs" {
			h.Set("Cache-Control", "no-cache")
		} else {
			h.Set("Cache-Control", "public, max-age=86400")
		}
		h.Set("X-Content-Type-Options", "nosniff")
		ui.ServeHTTP(ctx.Response(), ctx.Request())
		return nil
	}
	e.GET("/docs", docs)
	e.GET("/docs/*", docs)
	e.GET("/docs/errors/:code", errorPage)
}

// file serves bytes that change only with the binary: a strong ETag, asked for
// again each time.
func file(contentType string, content []byte) echo.HandlerFunc {
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(ctx echo.Context) error {
		h := ctx.Response().Header()
		h.Set(echo.HeaderContentType, contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("Etag", etag)
		http.ServeContent(ctx.Response(), ctx.Request(), "", time.Time{}, bytes.NewReader(content))
		return nil
	}
}

var errorTemplate = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Code}}</title><style>body{font:16px/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}</style></head>
<body><h1><code>{{.Code}}</code></h1><p lang="zh-CN">{{.ZH}}</p><p lang="en">{{.EN}}</p><p><a href="/docs">API</a></p></body></html>
`))

// errorPage explains a code; the type of every problem points to one.
func errorPage(ctx echo.Context) error {
	d := apperr.Lookup(ctx.Param("code"))
	if d == nil {
		return apperr.ErrNotFound.New()
	}
	var page bytes.Buffer
	if err := errorTemplate.Execute(&page, d); err != nil {
		return err
	}
	ctx.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return ctx.HTMLBlob(http.StatusOK, page.Bytes())
}
