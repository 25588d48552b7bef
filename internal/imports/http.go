package imports

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/oapi-codegen/nullable"

	commonapi "github.com/shuke-crm/shuke/api/common"
	importsapi "github.com/shuke-crm/shuke/api/imports"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API answers the operations tagged imports and exports.
type API struct{ *Service }

var _ importsapi.StrictServerInterface = API{}

// ListImports implements listImports.
func (a API) ListImports(ctx context.Context, r importsapi.ListImportsRequestObject) (importsapi.ListImportsResponseObject, error) {
	found, err := a.Imports(ctx, page.NewList("/v1/imports", r.Params.Limit), r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	out := importsapi.ListImports200JSONResponse{
		Body:    importsapi.ImportList{Items: []importsapi.Import{}, HasMore: found.Next != nil, NextCursor: pointerOrNull(found.Next), TotalCount: found.Total},
		Headers: importsapi.ListImports200ResponseHeaders{Link: found.Link},
	}
	for _, run := range found.Items {
		out.Body.Items = append(out.Body.Items, toAPIImport(run))
	}
	return out, nil
}

// CreateImport implements createImport.
func (a API) CreateImport(ctx context.Context, r importsapi.CreateImportRequestObject) (importsapi.CreateImportResponseObject, error) {
	run, job, err := a.Import(ctx, r.Body, fromAPIPart)
	if err != nil {
		return nil, err
	}
	location := "/v1/imports/" + run.ID.String()
	return importsapi.CreateImport202JSONResponse{
		Body: importsapi.ImportStarted{Job: toAPIJob(job), Import: toAPIImport(run)}, Headers: importsapi.CreateImport202ResponseHeaders{Location: &location},
	}, nil
}

// GetImport implements getImport.
func (a API) GetImport(ctx context.Context, r importsapi.GetImportRequestObject) (importsapi.GetImportResponseObject, error) {
	run, err := a.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(run.Version)
	return importsapi.GetImport200JSONResponse{Body: toAPIImport(run), Headers: importsapi.GetImport200ResponseHeaders{ETag: &tag}}, nil
}

// ListImportErrors implements listImportErrors.
func (a API) ListImportErrors(ctx context.Context, r importsapi.ListImportErrorsRequestObject) (importsapi.ListImportErrorsResponseObject, error) {
	run, err := a.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	accept := ""
	if r.Params.AcceptLanguage != nil {
		accept = *r.Params.AcceptLanguage
	}
	lang := apperr.Language(accept)
	if r.Params.Format != nil && *r.Params.Format == importsapi.ImportErrorsCSV {
		return importsapi.ListImportErrors200TextcsvResponse{Body: a.errorFile(ctx, run, lang)}, nil
	}
	list := page.NewList("/v1/imports/"+r.Id.String()+"/errors", r.Params.Limit)
	var after struct {
		Row int64 `json:"r"`
	}
	if _, err := a.Pages.Decode(list.Name(), r.Params.Cursor, &after); err != nil {
		return nil, err
	}
	bad, err := a.readErrors(ctx, run.ID, after.Row, list.Limit+1)
	if err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return a.countErrors(ctx, run.ID) })
	if err != nil {
		return nil, err
	}
	out := importsapi.ListImportErrors200JSONResponse{Body: importsapi.ImportErrorList{Items: []importsapi.ImportRowError{}, NextCursor: nullable.NewNullNullable[string](), TotalCount: count}}
	bad, out.Body.HasMore = page.Cut(bad, list.Limit)
	for _, b := range bad {
		out.Body.Items = append(out.Body.Items, toAPIRowError(b, lang))
	}
	if out.Body.HasMore {
		after.Row = bad[len(bad)-1].Number
		next, link := list.After(a.Pages, after)
		out.Body.NextCursor, out.Headers.Link = pointerOrNull(next), link
	}
	return out, nil
}

// StartImport implements startImport.
func (a API) StartImport(ctx context.Context, r importsapi.StartImportRequestObject) (importsapi.StartImportResponseObject, error) {
	var asked []MappingEntry
	var duplicates *string
	repeat := false
	if r.Body != nil {
		repeat = r.Body.Repeat != nil && *r.Body.Repeat
		duplicates = (*string)(r.Body.Duplicates)
		if r.Body.Mapping != nil {
			asked = fromAPIMapping(*r.Body.Mapping)
		}
	}
	run, job, err := a.Start(ctx, r.Id, asked, duplicates, repeat)
	if err != nil {
		return nil, err
	}
	location := "/v1/imports/" + run.ID.String()
	return importsapi.StartImport202JSONResponse{
		Body: importsapi.ImportStarted{Job: toAPIJob(job), Import: toAPIImport(run)}, Headers: importsapi.StartImport202ResponseHeaders{Location: &location},
	}, nil
}

// fromAPIPart reads a part of an upload that is no file: the contract's edge
// leaves multipart bodies to us.
func fromAPIPart(name, value string, to *Upload) error {
	refuse := func() error { return ErrField.At("/" + name) }
	oneOf := func(set *string, values ...string) error {
		if !slices.Contains(values, value) {
			return refuse()
		}
		*set = value
		return nil
	}
	switch name {
	case "kind":
		return oneOf(&to.Kind, kindCustomers, kindOrders, kindProducts)
	case "duplicates":
		return oneOf(&to.Duplicates, skipDuplicates, updateDuplicates, reviewDuplicates)
	case "encoding":
		return oneOf(&to.Encoding, encodingAuto, encodingUTF8, encodingUTF16LE, encodingUTF16BE, encodingGB)
	case "delimiter":
		if err := oneOf(&to.Delimiter, "auto", ",", ";", "tab", "|"); err != nil {
			return err
		}
		switch value {
		case "auto":
			to.Delimiter = ""
		case "tab":
			to.Delimiter = "\t"
		}
	case "dry_run", "repeat", "move_stock", "create_missing":
		v, err := strconv.ParseBool(value)
		if err != nil {
			return refuse()
		}
		*map[string]*bool{"dry_run": &to.DryRun, "repeat": &to.Repeat, "move_stock": &to.Options.MoveStock, "create_missing": &to.Options.CreateMissing}[name] = v
	case "sheet":
		if to.Sheet = clip(value, 101); len([]rune(to.Sheet)) > 100 {
			return refuse()
		}
	case "mapping":
		var m []importsapi.ImportMapping
		d := json.NewDecoder(bytes.NewReader([]byte(value)))
		d.DisallowUnknownFields()
		if err := d.Decode(&m); err != nil || d.Decode(&struct{}{}) != io.EOF || len(m) == 0 || len(m) > maxColumns {
			return refuse()
		}
		to.Mapping = fromAPIMapping(m)
	default:
		return refuse()
	}
	return nil
}

func fromAPIMapping(m []importsapi.ImportMapping) []MappingEntry {
	out := make([]MappingEntry, len(m))
	for i, e := range m {
		out[i].Field = e.Field
		if e.Column != nil {
			out[i].Column = int(*e.Column)
		}
		if e.Header != nil {
			out[i].Header = *e.Header
		}
	}
	return out
}

func toAPIImport(r *Run) importsapi.Import {
	out := importsapi.Import{
		Id: r.ID, Kind: importsapi.ImportKind(r.Kind), Status: importsapi.ImportStatus(r.Status), ErrorCode: orNull(r.Failure), DryRun: r.DryRun,
		Duplicates: importsapi.ImportDuplicates(r.Duplicates), FileName: r.FileName, Format: importsapi.ImportFormat(r.Format), SizeBytes: r.SizeBytes,
		Encoding: orNull(r.Reading.Encoding), Delimiter: orNull(r.Reading.Delimiter), Sheet: orNull(r.Reading.Sheet),
		Columns: []importsapi.ImportColumn{}, Mapping: []importsapi.ImportMapping{}, TotalRows: nullable.NewNullNullable[int64](),
		Counts:      importsapi.ImportCounts{Created: r.CreatedRows, Updated: r.UpdatedRows, Skipped: r.SkippedRows, Failed: r.FailedRows, Held: r.HeldRows, Likely: r.LikelyRows, Records: r.MadeRecords},
		OpenReviews: r.OpenReviews, MoveStock: optionsOf(r.ImportRun).MoveStock, CreateMissing: optionsOf(r.ImportRun).CreateMissing,
		LastRow: r.Position, JobId: r.JobID, FileDeleted: r.FileDeletedAt != nil, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.TotalRows > 0 {
		out.TotalRows.Set(r.TotalRows)
	}
	for _, c := range r.Columns {
		out.Columns = append(out.Columns, importsapi.ImportColumn{Column: int32(c.Number), Header: c.Header, SuggestedField: orNull(c.Field),
			Ambiguous: c.Ambiguous, Samples: c.Samples})
	}
	var m Mapping
	if json.Unmarshal(r.ImportRun.Mapping, &m) == nil {
		for _, n := range slices.Sorted(maps.Keys(m)) {
			column := int32(n)
			out.Mapping = append(out.Mapping, importsapi.ImportMapping{Column: &column, Field: m[n]})
		}
	}
	return out
}

func toAPIRowError(b badRow, lang string) importsapi.ImportRowError {
	out := importsapi.ImportRowError{Row: b.Number, Errors: []importsapi.ImportFault{}}
	for _, f := range b.Faults {
		fault := importsapi.ImportFault{Column: nullable.NewNullNullable[int32](), Field: orNull(f.Field), Code: f.Code, Detail: faultText(f, lang)}
		if f.Column > 0 {
			fault.Column.Set(int32(f.Column))
		}
		out.Errors = append(out.Errors, fault)
	}
	return out
}

// toAPIJob shows a job that has just been accepted.
func toAPIJob(j *platform.Job) commonapi.Job {
	return commonapi.Job{
		Id: j.ID, Kind: j.Kind, Status: commonapi.JobStatus(j.Status), RequestedBy: j.RequestedBy, CancelRequested: j.CancelRequested,
		Progress: commonapi.JobProgress{Done: j.ProgressDone, Total: nullable.NewNullNullable[int64]()}, ErrorCode: orNull(j.ErrorCode),
		Result: nullable.NewNullNullable[commonapi.JobResult](), Version: j.Version, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(),
		StartedAt: nullable.NewNullNullable[time.Time](), FinishedAt: nullable.NewNullNullable[time.Time](),
	}
}

func orNull[T ~string](s T) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(string(s))
}

func pointerOrNull[T any](v *T) nullable.Nullable[T] {
	if v == nil {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(*v)
}
