package customers

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	customersapi "github.com/shuke-crm/shuke/api/customers"
)

// GetCustomerProvenance implements getCustomerProvenance.
func (a API) GetCustomerProvenance(ctx context.Context, r customersapi.GetCustomerProvenanceRequestObject) (customersapi.GetCustomerProvenanceResponseObject, error) {
	all, err := a.ProvenanceOf(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	out := customersapi.CustomerProvenance{Fields: make([]customersapi.FieldProvenance, len(all))}
	for i, f := range all {
		kind, by := split(f.By)
		via, what := split(f.Via)
		one := customersapi.FieldProvenance{Field: f.Field, Channel: f.Channel, CollectedAt: time.Unix(f.At, 0).UTC(), CollectedByKind: orNull(kind), CollectedById: by,
			ImportId: null[uuid.UUID](), FormSubmissionId: null[uuid.UUID](), ConsentShown: f.Consent}
		switch via {
		case "import":
			one.ImportId = what
		case "form":
			one.FormSubmissionId = what
		}
		out.Fields[i] = one
	}
	return customersapi.GetCustomerProvenance200JSONResponse(out), nil
}

// split takes a kind and an id apart.
func split(s string) (kind string, id nullable.Nullable[uuid.UUID]) {
	kind, raw, ok := strings.Cut(s, ":")
	if v, err := uuid.Parse(raw); ok && err == nil {
		return kind, value(v)
	}
	return kind, null[uuid.UUID]()
}

func fromAPICollection(b *customersapi.Collection) *Collection {
	if b == nil {
		return nil
	}
	out := &Collection{Channel: deref(b.Channel)}
	if b.ConsentShown != nil {
		out.ConsentShown = *b.ConsentShown
	}
	return out
}
