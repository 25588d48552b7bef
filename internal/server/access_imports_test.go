package server_test

import (
	"bytes"
	"mime/multipart"
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// upload sends a file of one customer as the cell's actor.
func (c *cell) upload(duplicates string) *testkit.Response {
	return c.uploadOf("customers", duplicates, "external_id,name\r\n"+c.word("UP-")+",李明\r\n")
}

// uploadOf tries a file of some kind.
func (c *cell) uploadOf(kind, duplicates, content string) *testkit.Response {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range map[string]string{"kind": kind, "dry_run": "true", "duplicates": duplicates} {
		require.NoError(c.t, form.WriteField(name, value))
	}
	file, err := form.CreateFormFile("file", kind+".csv")
	require.NoError(c.t, err)
	_, err = file.Write([]byte(content))
	require.NoError(c.t, err)
	require.NoError(c.t, form.Close())
	return c.do(http.MethodPost, "/v1/imports", &body, "Content-Type", form.FormDataContentType())
}

// importRun is an import of the cell's actor or of somebody else, whose job
// has come to its end.
func (c *cell) importRun() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	owner := c.actor.principal()
	if c.object == "other" {
		owner = c.stranger.principal()
	}
	id, job := c.id(), c.job(owner)
	c.exec("UPDATE jobs SET status = 'succeeded' WHERE id = $1", job)
	c.exec(`INSERT INTO imports (id, kind, file_name, format, size_bytes, sha256, reading, columns_sealed, mapping, dry_run, job_id, requested_by, created_at, updated_at)
		VALUES ($1, 'customers', 'a.csv', 'csv', 10, convert_to($1::uuid::text, 'UTF8'), '{"encoding":"utf-8","delimiter":",","header":1,"columns":1}', $2, '{"1":"name"}', TRUE, $3, $4, now(), now())`,
		id, c.Keys.SealBlob("imports.columns", id[:], []byte(`[{"number":1,"header":"name","samples":[]}]`)), job, owner)
	return id
}

// exportRun is a file of the cell's actor or of somebody else.
func (c *cell) exportRun(clear bool) uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	owner := c.actor.principal()
	if c.object == "other" {
		owner = c.stranger.principal()
	}
	id, job := c.id(), c.job(owner)
	c.exec("UPDATE jobs SET status = 'succeeded' WHERE id = $1", job)
	c.exec(`INSERT INTO exports (id, kind, format, language, fields, filter_sealed, clear, job_id, ready, row_count, size_bytes, requested_by, expires_at, created_at, updated_at)
		VALUES ($1, 'customers', 'csv', 'en', '[]', '', $2, $3, TRUE, 0, 6, $4, now() + interval '1 day', now(), now())`, id, clear, job, owner)
	files, err := blob.Open(c.Files, c.Keys)
	require.NoError(c.t, err)
	w, err := files.Create("exports/" + id.String())
	require.NoError(c.t, err)
	_, err = w.Write([]byte("name\r\n"))
	require.NoError(c.t, err)
	require.NoError(c.t, w.Commit())
	return id
}

var importProbes = map[string]probe{
	"listImports": func(c *cell) byte {
		id := c.importRun()
		return among(c.do(http.MethodGet, "/v1/imports?limit=200", nil), id)
	},
	"createImport":        func(c *cell) byte { return judge(c.upload("skip")) },
	"createImport/update": func(c *cell) byte { return judge(c.upload("update")) },
	"createImport/orders": func(c *cell) byte {
		return judge(c.uploadOf("orders", "skip", "external_number,store,placed_at,sku,quantity\r\n"+c.word("UP-")+",S,2024-01-01,A,1\r\n"))
	},
	"createImport/products": func(c *cell) byte {
		return judge(c.uploadOf("products", "skip", "sku,title\r\n"+c.word("UP-")+",A\r\n"))
	},
	"getImport": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String(), nil))
	},
	"listImportErrors": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String()+"/errors", nil))
	},
	"listImportErrors/csv": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String()+"/errors?format=csv", nil))
	},
	"listImportReviews": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String()+"/reviews", nil))
	},
	"decideImportReview": func(c *cell) byte {
		id := c.importRun()
		if c.object != "none" {
			c.exec("INSERT INTO import_reviews (import_id, row_number, matches, cells_sealed) VALUES ($1, 2, '[]', $2)", id, c.Keys.SealBlob("imports.cells", id[:], []byte(`["李明"]`)))
		}
		return judge(c.do(http.MethodPost, "/v1/imports/"+id.String()+"/reviews/2/decide", map[string]any{"decision": "skip"}))
	},
	"createExport": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/exports", map[string]any{"kind": "customers", "format": "csv"}))
	},
	"createExport/orders": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/exports", map[string]any{"kind": "orders", "format": "jsonl"}))
	},
	"createClearExport": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/exports/clear", map[string]any{"kind": "customers", "format": "csv", "reason": "check"}))
	},
	"listExports": func(c *cell) byte {
		id := c.exportRun(false)
		return among(c.do(http.MethodGet, "/v1/exports?limit=200", nil), id)
	},
	"getExport": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/exports/"+c.exportRun(false).String(), nil))
	},
	"getExportFile": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/exports/"+c.exportRun(false).String()+"/file", nil))
	},
	"getExportFile/clear": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/exports/"+c.exportRun(true).String()+"/file", nil))
	},
	"deleteExport": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/exports/"+c.exportRun(false).String(), nil))
	},
	"startImport": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/imports/"+c.importRun().String()+"/start", nil))
	},
}
