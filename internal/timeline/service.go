package timeline

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service works with.
type Deps struct {
	DB    *db.DB
	Clock *clock.Clock
	Keys  *crypto.Keyring
	Pages *page.Codec
	Log   *slog.Logger
	Queue *jobs.Queue
	Files *blob.Store
	// Limits of attachments; the zero value means 10 MiB and 30 million pixels.
	Limits Limits
	// Current gives the rights that a principal ("staff:…") holds now; an error of
	// kind forbidden for one who is not active.
	Current func(ctx context.Context, principal string) (auth.Actor, error)
}

// Service owns notes and attachments, and the timeline over everybody's rows. It is safe for
// concurrent use.
type Service struct {
	Deps
	sources  []Source
	linkKey  [32]byte
	decoding chan struct{} // holds who opens a picture
}

// New makes the service with the sources that no other domain declares.
func New(d Deps) *Service {
	s := &Service{Deps: d, decoding: make(chan struct{}, 1)}
	if s.Limits == (Limits{}) {
		s.Limits = Limits{Bytes: 10 << 20, Pixels: 30_000_000}
	}
	s.Use(ownSources()...)
	if d.Keys != nil {
		s.linkKey = d.Keys.Derive("timeline.link")
	}
	if d.Queue != nil {
		d.Queue.Every("files.sweep", jobs.Interval(10*time.Minute), s.Sweep)
	}
	return s
}

// Follower has notes and attachments follow merged customers. Contents of files
// stay as they are: only the keys to them are sealed anew.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{
		Name: "timeline",
		Belongings: []customers.Belonging{
			{Table: tableNotes, Kind: "notes", Sealed: []string{columnText}, Store: true, Staff: true, Versioned: true},
			{Table: tableAttachments, Kind: "attachments", Sealed: []string{columnCaption, columnFileName, columnFileKey}, Store: true, Staff: true, Versioned: true},
		},
	}
}

// owner is the customer that something belongs to, and the key to it.
type owner struct {
	*crm.Customer
	key crypto.DataKey
}

// ofCustomer reads a customer of the caller's scope.
// Error: customers.ErrNotFound, also for one that was merged away.
func (s *Service) ofCustomer(ctx context.Context, q *crm.CustomerQuery, id uuid.UUID) (*owner, error) {
	row, err := q.Where(customer.ID(id)).
		Select(customer.FieldID, customer.FieldDataKey, customer.FieldHomeStoreID, customer.FieldAssignedStaffID, customer.FieldArchivedAt).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, customers.ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	o := &owner{Customer: row}
	o.key, err = s.Keys.UnwrapDataKey(row.ID, row.DataKey)
	return o, err
}

// read reads a customer for showing what belongs to them.
func (s *Service) read(ctx context.Context, id uuid.UUID) (*owner, error) {
	return s.ofCustomer(ctx, s.DB.From(ctx).CRM.Customer.Query(), id)
}

// lock reads a customer for writing what belongs to them; a merge has to wait.
// Errors: customers.ErrNotFound, customers.ErrArchived.
func (s *Service) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) (*owner, error) {
	o, err := s.ofCustomer(ctx, tx.CRM.Customer.Query().ForShare(), id)
	if err == nil && o.ArchivedAt != nil {
		return nil, customers.ErrArchived.New()
	}
	return o, err
}

// author is the acting principal as rows name it.
func author(ctx context.Context) (kind string, id *uuid.UUID) {
	a := auth.Must(ctx)
	if a.ID == uuid.Nil {
		return string(auth.KindSystem), nil
	}
	return string(a.Kind), &a.ID
}

// mayChange reports whether the actor wrote something, or may change what
// others wrote about a customer of this place.
func mayChange(ctx context.Context, kind string, by *uuid.UUID, o *owner) bool {
	a := auth.Must(ctx)
	if by != nil && *by == a.ID && kind == string(a.Kind) {
		return true
	}
	return a.Can(auth.NotesManage) && a.ScopeOf(auth.NotesManage).Sees(orNil(o.HomeStoreID), orNil(o.AssignedStaffID))
}

func orNil(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

func timeParam(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
