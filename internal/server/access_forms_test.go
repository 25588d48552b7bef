package server_test

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	formsdomain "github.com/shuke-crm/shuke/internal/forms"
)

func (w *world) formInput() formsdomain.Input {
	label := map[string]string{"en": "x"}
	return formsdomain.Input{Code: "f" + w.word(""), Title: label, Definition: &formsdomain.Definition{
		Fields: []formsdomain.Field{
			{Key: "phone", Kind: "customer_field", Target: "phone", Label: label},
			{Key: "how", Kind: "question", Answer: "text", Label: label},
		}, MatchBy: []string{"phone"}, OnMatch: "update", ForMembers: true}}
}

// askedForm is one that is published.
func (w *world) askedForm() uuid.UUID {
	return once(w, "form", func() uuid.UUID {
		f, err := w.Server.Forms.Create(w.ctx, w.formInput())
		require.NoError(w.t, err)
		_, err = w.Server.Forms.Publish(w.ctx, f.ID, nil)
		require.NoError(w.t, err)
		return f.ID
	})
}

// handed hands a form in about a customer.
func (w *world) handed(b buyer) uuid.UUID {
	row, err := w.Server.Forms.Submit(w.ctx, w.askedForm(), formsdomain.Handed{Answers: map[string]any{"phone": b.phone, "how": "路过"}})
	require.NoError(w.t, err)
	require.Equal(w.t, b.id, row.CustomerID)
	return row.ID
}

func onForm(method, suffix string, body any) probe {
	return func(c *cell) byte {
		id := uuid.New()
		if c.object != "none" {
			f, err := c.Server.Forms.Create(c.ctx, c.formInput())
			require.NoError(c.t, err)
			id = f.ID
		}
		letter := judge(c.do(method, "/v1/forms/"+id.String()+suffix, body))
		if c.object != "none" && (c.version("forms", id) != 1) != (letter == allowed && method != http.MethodGet) {
			return strange
		}
		return letter
	}
}

var formProbes = map[string]probe{
	"listForms": plain(http.MethodGet, "/v1/forms", nil),
	"createForm": func(c *cell) byte {
		in := c.formInput()
		return judge(c.do(http.MethodPost, "/v1/forms", map[string]any{"code": in.Code, "title": in.Title, "definition": in.Definition}))
	},
	"getForm":          onForm(http.MethodGet, "", nil),
	"listFormVersions": onForm(http.MethodGet, "/versions", nil),
	"updateForm":       onForm(http.MethodPatch, "", map[string]any{"channel": "tablet"}),
	"publishForm":      onForm(http.MethodPost, "/publish", nil),
	"archiveForm":      onForm(http.MethodPost, "/archive", nil),
	"submitForm": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/forms/"+c.askedForm().String()+"/submissions", map[string]any{"answers": map[string]any{"phone": c.mobile()}}))
	},
	// A phone that somebody has already: who may not see them changes nothing and learns nothing.
	"submitForm/known": func(c *cell) byte {
		b := c.newBuyer()
		r := c.do(http.MethodPost, "/v1/forms/"+c.askedForm().String()+"/submissions", map[string]any{"answers": map[string]any{"phone": b.phone, "how": "路过"}})
		var kept int
		c.one(&kept, "SELECT count(*) FROM form_submissions WHERE customer_id = $1", b.id)
		if r.Status == http.StatusConflict && kept == 0 && object(r.Body)["code"] == "customers.duplicate" && object(r.Body)["existing_id"] == nil {
			return hidden
		}
		if letter := judge(r); (letter == allowed) == (kept == 1) {
			return letter
		}
		return strange
	},
	"listFormSubmissions": func(c *cell) byte {
		id := c.handed(c.newBuyer()) // the newest, so on the first page
		return among(c.do(http.MethodGet, "/v1/forms/"+c.askedForm().String()+"/submissions?limit=200", nil), id)
	},
	"getFormSubmission": func(c *cell) byte {
		b, id := c.newBuyer(), uuid.New()
		if c.object != "none" {
			id = c.handed(b)
		}
		return judge(c.do(http.MethodGet, "/v1/forms/"+c.askedForm().String()+"/submissions/"+id.String(), nil))
	},
	"revealFormSubmission": func(c *cell) byte {
		b, id := c.newBuyer(), uuid.New()
		if c.object != "none" {
			id = c.handed(b)
		}
		return judge(c.do(http.MethodPost, "/v1/forms/"+c.askedForm().String()+"/submissions/"+id.String()+"/reveal", map[string]any{"reason": "回访核对"}))
	},
	"listMemberForms": plain(http.MethodGet, "/v1/member/forms", nil),
	"submitMemberForm": func(c *cell) byte {
		form := c.askedForm()
		return asGuest(http.MethodPost, "/v1/member/forms/"+form.String()+"/submissions", func(*world) any { return map[string]any{"answers": map[string]any{"how": "路过"}} })(c)
	},
}
