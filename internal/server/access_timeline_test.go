package server_test

import (
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
