package server_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/timeline"
)

// note is one about the cell's customer, by the cell's actor or by the system.
func (c *cell) note(own bool) (customer, id uuid.UUID) {
	if c.object == "none" {
		return c.newBuyer().id, uuid.New()
	}
	b := c.newBuyer()
	ctx := c.ctx
	if own && c.actor.staff != uuid.Nil {
		ctx = auth.With(ctx, auth.Actor{Kind: auth.KindStaff, ID: c.actor.staff, Scope: auth.Scope{All: true}})
	}
	text := "试穿 M 码偏紧"
	n, err := c.Server.Timeline.CreateNote(ctx, b.id, timeline.NoteInput{Text: &text})
	require.NoError(c.t, err)
	return b.id, n.ID
}

// onNote is a request about a note that is made for it. What comes out other
// than allowed must have left the note alone.
func onNote(method string, own bool, body any) probe {
	return func(c *cell) byte {
		customer, id := c.note(own)
		letter := judge(c.do(method, "/v1/customers/"+customer.String()+"/notes/"+id.String(), body))
		if letter != allowed && c.object != "none" && c.version("notes", id) != 1 {
			return strange
		}
		return letter
	}
}

// picture is a file attached to the cell's customer, by the cell's actor or by
// the system.
func (c *cell) picture(own bool) (customer, id uuid.UUID) {
	b := c.newBuyer()
	if c.object == "none" {
		return b.id, uuid.New()
	}
	ctx := c.ctx
	if own && c.actor.staff != uuid.Nil {
		ctx = auth.With(ctx, auth.Actor{Kind: auth.KindStaff, ID: c.actor.staff, Scope: auth.Scope{All: true}})
	}
	body, boundary := c.form()
	a, err := c.Server.Timeline.Attach(ctx, b.id, multipart.NewReader(body, boundary))
	require.NoError(c.t, err)
	return b.id, a.ID
}

// form is an upload of a small picture.
func (c *cell) form() (body *bytes.Buffer, boundary string) {
	body = &bytes.Buffer{}
	form := multipart.NewWriter(body)
	file, err := form.CreateFormFile("file", "outfit.png")
	require.NoError(c.t, err)
	require.NoError(c.t, png.Encode(file, image.NewGray(image.Rect(0, 0, 4, 4))))
	require.NoError(c.t, form.Close())
	return body, form.Boundary()
}

// onPicture is a request about an attachment that is made for it. What comes out
// other than allowed must have left it alone.
func onPicture(method, suffix string, own bool, body any) probe {
	return func(c *cell) byte {
		customer, id := c.picture(own)
		letter := judge(c.do(method, "/v1/customers/"+customer.String()+"/attachments/"+id.String()+suffix, body))
		if letter != allowed && c.object != "none" && c.version("attachments", id) != 1 {
			return strange
		}
		return letter
	}
}

// mention is a note about the cell's customer that mentions the cell's actor.
func (c *cell) mention() uuid.UUID {
	_, note := c.note(false)
	id := c.id()
	if c.actor.staff != uuid.Nil {
		c.exec("INSERT INTO note_mentions (id, note_id, staff_id, created_at) VALUES ($1, $2, $3, now())", id, note, c.actor.staff)
	}
	return id
}

var timelineProbes = map[string]probe{
	"listTimeline": func(c *cell) byte {
		b := c.buyer()
		r := c.do(http.MethodGet, "/v1/customers/"+b.id.String()+"/timeline?kind=created", nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		if items, _ := object(r.Body)["items"].([]any); len(items) != 1 {
			return strange
		}
		return allowed
	},
	"listTimeline/order": func(c *cell) byte {
		b := c.buyer()
		return among(c.do(http.MethodGet, "/v1/customers/"+b.id.String()+"/timeline", nil), b.order)
	},
	"listTimeline/elsewhere": func(c *cell) byte {
		b := c.newBuyer()
		_, staff := c.place(c.object, c.actor)
		c.purchase(&b, c.b, staff)
		return among(c.do(http.MethodGet, "/v1/customers/"+b.id.String()+"/timeline?kind=order", nil), b.order)
	},
	"listTimeline/note": func(c *cell) byte {
		customer, id := c.note(false)
		return among(c.do(http.MethodGet, "/v1/customers/"+customer.String()+"/timeline", nil), id)
	},
	"listNotes": func(c *cell) byte {
		customer, id := c.note(false)
		r := c.do(http.MethodGet, "/v1/customers/"+customer.String()+"/notes", nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return among(r, id)
	},
	"createNote": func(c *cell) byte {
		b := c.newBuyer()
		letter := judge(c.do(http.MethodPost, "/v1/customers/"+b.id.String()+"/notes", map[string]any{"text": "喜欢推理小说", "kind": "taste"}))
		var made int
		c.one(&made, "SELECT count(*) FROM notes WHERE customer_id = $1", b.id)
		if (made == 1) != (letter == allowed) {
			return strange
		}
		return letter
	},
	"getNote":              onNote(http.MethodGet, false, nil),
	"updateNote":           onNote(http.MethodPatch, true, map[string]any{"pinned": true}),
	"updateNote/colleague": onNote(http.MethodPatch, false, map[string]any{"pinned": true}),
	"deleteNote":           onNote(http.MethodDelete, true, nil),
	"deleteNote/colleague": onNote(http.MethodDelete, false, nil),
	"listAttachments": func(c *cell) byte {
		customer, id := c.picture(false)
		r := c.do(http.MethodGet, "/v1/customers/"+customer.String()+"/attachments", nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return among(r, id)
	},
	"createAttachment": func(c *cell) byte {
		b := c.newBuyer()
		body, boundary := c.form()
		letter := judge(c.do(http.MethodPost, "/v1/customers/"+b.id.String()+"/attachments", body, "Content-Type", "multipart/form-data; boundary="+boundary))
		var made int
		c.one(&made, "SELECT count(*) FROM attachments WHERE customer_id = $1", b.id)
		if (made == 1) != (letter == allowed) {
			return strange
		}
		return letter
	},
	"getAttachment":              onPicture(http.MethodGet, "", false, nil),
	"updateAttachment":           onPicture(http.MethodPatch, "", true, map[string]any{"kind": "outfit"}),
	"updateAttachment/colleague": onPicture(http.MethodPatch, "", false, map[string]any{"kind": "outfit"}),
	"deleteAttachment":           onPicture(http.MethodDelete, "", true, nil),
	"deleteAttachment/colleague": onPicture(http.MethodDelete, "", false, nil),
	"getAttachmentFile":          onPicture(http.MethodGet, "/file", false, nil),
	"getAttachmentThumbnail":     onPicture(http.MethodGet, "/thumbnail", false, nil),
	"getLinkedFile": func(c *cell) byte {
		customer, id := c.picture(false)
		link := "/v1/files/" + base64.RawURLEncoding.EncodeToString(id[:])
		if c.object != "none" {
			link = object(c.Admin().Do(http.MethodGet, "/v1/customers/"+customer.String()+"/attachments/"+id.String(), nil).Want(http.StatusOK).Body)["url"].(string)
		}
		return judge(c.do(http.MethodGet, link, nil))
	},
	"listMentions": func(c *cell) byte {
		id := c.mention()
		return among(c.do(http.MethodGet, "/v1/me/mentions?limit=200", nil), id)
	},
	"listMentions/count": func(c *cell) byte {
		fresh := *c
		fresh.actor = c.fresh(c.actor.column) // nobody else's probe adds to theirs
		fresh.mention()
		r := fresh.do(http.MethodGet, "/v1/me/mentions?include=total_count&limit=1", nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return counted(r)
	},
	"markMentionsSeen": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/me/mentions/seen", map[string]any{"ids": []any{c.mention()}}))
	},
}
