package catalog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// BulkProducts implements bulkProducts.
func (a API) BulkProducts(ctx context.Context, r catalogapi.BulkProductsRequestObject) (catalogapi.BulkProductsResponseObject, error) {
	trial := opt.Value(r.Body.DryRun)
	out, err := a.TakeOver(ctx, each(r.Body.Items, func(p catalogapi.ProductCreate) BulkItem { return BulkItem{ProductInput: fromAPIProduct(&p)} }),
		r.Body.Mode == catalogapi.BulkUpsert, trial)
	if err != nil {
		return nil, err
	}
	lang := apperr.Language(opt.Value(r.Params.AcceptLanguage))
	body := catalogapi.ProductBulkResults{DryRun: trial, Results: make([]catalogapi.ProductBulkResult, len(out))}
	for i, o := range out {
		body.Results[i] = catalogapi.ProductBulkResult{Index: int32(i), Status: catalogapi.ProductBulkStatus(o.Status), ProductId: kept(o.ProductID, trial && o.Status == "created"),
			Error: toAPIBulkError(o.Err, "/items/"+strconv.Itoa(i), lang)}
	}
	return catalogapi.BulkProducts200JSONResponse(body), nil
}

// SuggestCategories implements suggestCategories.
func (a API) SuggestCategories(ctx context.Context, r catalogapi.SuggestCategoriesRequestObject) (catalogapi.SuggestCategoriesResponseObject, error) {
	text := strings.Join([]string{r.Body.Title, opt.Value(r.Body.Description), opt.Value(r.Body.Brand)}, "\n")
	found, err := a.Service.SuggestCategories(ctx, text, opt.Value(r.Body.Authors), opt.Value(r.Body.ClcCode))
	if err != nil {
		return nil, err
	}
	body := catalogapi.CategorySuggestions{Suggestions: each(found, func(s Suggestion) catalogapi.CategorySuggestion {
		return catalogapi.CategorySuggestion{CategoryId: s.CategoryID, Name: s.Name, Score: s.Score, Evidence: s.Evidence}
	})}
	return catalogapi.SuggestCategories200JSONResponse(body), nil
}

// ImportOnix implements importOnix.
func (a API) ImportOnix(ctx context.Context, r catalogapi.ImportOnixRequestObject) (catalogapi.ImportOnixResponseObject, error) {
	records, trial, err := a.receiveONIX(r.Body)
	if err != nil {
		return nil, err
	}
	out, err := a.TakeOver(ctx, each(records, func(r Record) BulkItem { return r.BulkItem }), true, trial)
	if err != nil {
		return nil, err
	}
	lang := apperr.Language(opt.Value(r.Params.AcceptLanguage))
	body := catalogapi.OnixResults{DryRun: trial, Results: make([]catalogapi.OnixResult, len(out))}
	for i, o := range out {
		switch o.Status {
		case "created":
			body.CreatedCount++
		case "updated":
			body.UpdatedCount++
		default:
			body.ErrorCount++
		}
		body.Results[i] = catalogapi.OnixResult{Index: int32(i), RecordReference: records[i].Reference, Status: catalogapi.ProductBulkStatus(o.Status),
			ProductId: kept(o.ProductID, trial && o.Status == "created"), Error: toAPIBulkError(o.Err, "", lang)}
	}
	return catalogapi.ImportOnix200JSONResponse(body), nil
}

// kept is the id of a product; none of one that a trial has taken back.
func kept(id uuid.UUID, gone bool) *uuid.UUID {
	if gone {
		return nil
	}
	return nonZero(id)
}

// receiveONIX reads the parts of an upload. The message is read to its end
// before anything of it is taken over.
func (a API) receiveONIX(parts *multipart.Reader) (records []Record, trial bool, err error) {
	seen := false
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, unreadable(err)
		}
		switch name := part.FormName(); {
		case name == "file" && !seen:
			seen = true
			message, err := io.ReadAll(part)
			if err != nil {
				return nil, false, unreadable(err)
			}
			if records, err = ReadONIX(bytes.NewReader(message), a.currency, a.decimals()); err != nil {
				return nil, false, err
			}
		case name == "dry_run":
			text, err := io.ReadAll(io.LimitReader(part, 6))
			if err != nil {
				return nil, false, unreadable(err)
			}
			if trial, err = strconv.ParseBool(string(text)); err != nil {
				return nil, false, ErrONIXFile.At("/dry_run")
			}
		default:
			return nil, false, ErrONIXFile.At("/" + name)
		}
	}
	if !seen {
		return nil, false, ErrONIXFile.At("/file")
	}
	return records, trial, nil
}

// unreadable tells an upload that is too large from one that broke off.
func unreadable(err error) error {
	if e := apperr.From(err); e != nil {
		return e
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return apperr.ErrTooLarge.New().Arg("limit", large.Limit)
	}
	return apperr.ErrMalformed.Wrap(err)
}

// toAPIBulkError tells the first fault of an item; the rest show once it is gone.
func toAPIBulkError(err error, base, lang string) *catalogapi.ProductBulkError {
	if err == nil {
		return nil
	}
	e := apperr.From(err)
	if e == nil {
		e = apperr.ErrInternal.New()
	}
	out := &catalogapi.ProductBulkError{Code: e.Def.Code, Pointer: base, Detail: e.Def.Text(lang, e.Args)}
	if len(e.Fields) > 0 {
		f := e.Fields[0]
		out.Code, out.Pointer = f.Code, base+f.Pointer
		if d := apperr.Lookup(f.Code); d != nil && f.Args != nil {
			out.Detail = d.Text(lang, f.Args)
		}
	}
	if id, ok := e.Extra["existing_id"].(uuid.UUID); ok {
		out.ExistingId = &id
	}
	return out
}
