package imports

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/oapi-codegen/nullable"

	importsapi "github.com/shuke-crm/shuke/api/imports"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListImportReviews implements listImportReviews.
func (a API) ListImportReviews(ctx context.Context, r importsapi.ListImportReviewsRequestObject) (importsapi.ListImportReviewsResponseObject, error) {
	run, err := a.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	list := page.NewList("/v1/imports/"+r.Id.String()+"/reviews", r.Params.Limit)
	status := plainText(r.Params.Status)
	if status != "" {
		list.Filters.Set("status", status)
	}
	var after struct {
		Row int64 `json:"r"`
	}
	if _, err := a.Pages.Decode(list.Name(), r.Params.Cursor, &after); err != nil {
		return nil, err
	}
	held, err := a.reviews(ctx, run.ID, status, after.Row, list.Limit+1)
	if err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return a.countReviews(ctx, run.ID, status) })
	if err != nil {
		return nil, err
	}
	out := importsapi.ListImportReviews200JSONResponse{Body: importsapi.ImportReviewList{Items: []importsapi.ImportReview{}, NextCursor: nullable.NewNullNullable[string](), TotalCount: count}}
	held, out.Body.HasMore = page.Cut(held, list.Limit)
	for i := range held {
		out.Body.Items = append(out.Body.Items, toAPIReview(run, &held[i]))
	}
	if out.Body.HasMore {
		after.Row = held[len(held)-1].Number
		next, link := list.After(a.Pages, after)
		out.Body.NextCursor, out.Headers.Link = pointerOrNull(next), link
	}
	return out, nil
}

// DecideImportReview implements decideImportReview.
func (a API) DecideImportReview(ctx context.Context, r importsapi.DecideImportReviewRequestObject) (importsapi.DecideImportReviewResponseObject, error) {
	run, row, err := a.Decide(ctx, r.Id, r.Row, string(r.Body.Decision), orNilID(r.Body.CustomerId))
	if err != nil {
		return nil, err
	}
	return importsapi.DecideImportReview200JSONResponse(toAPIReview(run, row)), nil
}

func toAPIReview(run *Run, h *heldRow) importsapi.ImportReview {
	out := importsapi.ImportReview{
		Row: h.Number, Status: importsapi.ImportReviewStatus(h.Status), Matches: []importsapi.ImportReviewMatch{}, Cells: []importsapi.ImportReviewCell{},
		CustomerId: pointerOrNull(h.Became), LeftOff: append([]string{}, h.Left...), DecidedBy: orNull(h.DecidedBy), DecidedAt: pointerOrNull(h.DecidedAt),
	}
	for _, m := range h.Matches {
		match := importsapi.ImportReviewMatch{Field: m.Field, Customer: nullable.NewNullNullable[importsapi.ImportReviewCustomer]()}
		if c, ok := h.Seen[m.CustomerID]; ok {
			match.Customer.Set(importsapi.ImportReviewCustomer{Id: c.ID, ExternalId: pointerOrNull(c.ExternalID)})
		}
		out.Matches = append(out.Matches, match)
	}
	var m Mapping
	_ = json.Unmarshal(run.ImportRun.Mapping, &m) // ours; an import without one has no rows
	for _, n := range slices.Sorted(maps.Keys(m)) {
		if n > len(h.Cells) {
			continue
		}
		if v := clean(h.Cells[n-1]); v != "" {
			out.Cells = append(out.Cells, importsapi.ImportReviewCell{Column: int32(n), Field: m[n], Value: masked(m[n], v)})
		}
	}
	return out
}
