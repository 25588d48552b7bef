package server_test

import (
	"bytes"
	"mime/multipart"
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// upload sends a file of one customer as the cell's actor.
func (c *cell) upload(duplicates string) *testkit.Response {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range map[string]string{"kind": "customers", "dry_run": "true", "duplicates": duplicates} {
		require.NoError(c.t, form.WriteField(name, value))
	}
	file, err := form.CreateFormFile("file", "customers.csv")
	require.NoError(c.t, err)
	_, err = file.Write([]byte("external_id,name\r\n" + c.word("UP-") + ",李明\r\n"))
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

var importProbes = map[string]probe{
	"listImports": func(c *cell) byte {
		id := c.importRun()
		return among(c.do(http.MethodGet, "/v1/imports?limit=200", nil), id)
	},
	"createImport":        func(c *cell) byte { return judge(c.upload("skip")) },
	"createImport/update": func(c *cell) byte { return judge(c.upload("update")) },
	"getImport": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String(), nil))
	},
	"listImportErrors": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String()+"/errors", nil))
	},
	"listImportErrors/csv": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/imports/"+c.importRun().String()+"/errors?format=csv", nil))
	},
	"startImport": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/imports/"+c.importRun().String()+"/start", nil))
	},
}
