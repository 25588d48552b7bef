package imports

import (
	"context"
	"io"

	"github.com/oapi-codegen/nullable"

	importsapi "github.com/shuke-crm/shuke/api/imports"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListExports implements listExports.
func (a API) ListExports(ctx context.Context, r importsapi.ListExportsRequestObject) (importsapi.ListExportsResponseObject, error) {
	found, err := a.Exports(ctx, page.NewList("/v1/exports", r.Params.Limit), r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	out := importsapi.ListExports200JSONResponse{
		Body:    importsapi.ExportList{Items: []importsapi.Export{}, HasMore: found.Next != nil, NextCursor: pointerOrNull(found.Next), TotalCount: found.Total},
		Headers: importsapi.ListExports200ResponseHeaders{Link: found.Link},
	}
	for _, run := range found.Items {
		out.Body.Items = append(out.Body.Items, toAPIExport(run))
	}
	return out, nil
}

// CreateExport implements createExport.
func (a API) CreateExport(ctx context.Context, r importsapi.CreateExportRequestObject) (importsapi.CreateExportResponseObject, error) {
	filter, err := fromAPIExportFilter(string(r.Body.Kind), r.Body.Filter)
	if err != nil {
		return nil, err
	}
	run, job, err := a.Export(ctx, ExportRequest{
		Kind: string(r.Body.Kind), Format: string(r.Body.Format), Language: exportLanguage(r.Body.Language, r.Params.AcceptLanguage),
		Fields: pointed(r.Body.Fields), Filter: filter,
	})
	if err != nil {
		return nil, err
	}
	location := "/v1/exports/" + run.ID.String()
	return importsapi.CreateExport202JSONResponse{
		Body: importsapi.ExportStarted{Job: toAPIJob(job), Export: toAPIExport(run)}, Headers: importsapi.CreateExport202ResponseHeaders{Location: &location},
	}, nil
}

// CreateClearExport implements createClearExport.
func (a API) CreateClearExport(ctx context.Context, r importsapi.CreateClearExportRequestObject) (importsapi.CreateClearExportResponseObject, error) {
	filter, err := fromAPIExportFilter(string(r.Body.Kind), r.Body.Filter)
	if err != nil {
		return nil, err
	}
	run, job, err := a.Export(ctx, ExportRequest{
		Kind: string(r.Body.Kind), Format: string(r.Body.Format), Language: exportLanguage(r.Body.Language, r.Params.AcceptLanguage),
		Fields: pointed(r.Body.Fields), Filter: filter, Clear: true, Reason: r.Body.Reason,
	})
	if err != nil {
		return nil, err
	}
	location := "/v1/exports/" + run.ID.String()
	return importsapi.CreateClearExport202JSONResponse{
		Body: importsapi.ExportStarted{Job: toAPIJob(job), Export: toAPIExport(run)}, Headers: importsapi.CreateClearExport202ResponseHeaders{Location: &location},
	}, nil
}

// GetExport implements getExport.
func (a API) GetExport(ctx context.Context, r importsapi.GetExportRequestObject) (importsapi.GetExportResponseObject, error) {
	run, err := a.Service.GetExport(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(run.Version)
	return importsapi.GetExport200JSONResponse{Body: toAPIExport(run), Headers: importsapi.GetExport200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteExport implements deleteExport.
func (a API) DeleteExport(ctx context.Context, r importsapi.DeleteExportRequestObject) (importsapi.DeleteExportResponseObject, error) {
	if err := a.Service.DeleteExport(ctx, r.Id); err != nil {
		return nil, err
	}
	return importsapi.DeleteExport204Response{}, nil
}

// GetExportFile implements getExportFile.
func (a API) GetExportFile(ctx context.Context, r importsapi.GetExportFileRequestObject) (importsapi.GetExportFileResponseObject, error) {
	run, f, err := a.OpenExport(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	disposition := `attachment; filename="` + run.Kind + "-" + run.CreatedAt.In(a.Clock.Location()).Format("20060102-150405") + "." + string(run.Format) + `"`
	var body io.Reader = f // closed by the generated code when it has been sent
	switch importsapi.ExportFormat(run.Format) {
	case importsapi.ExportXLSX:
		return importsapi.GetExportFile200ApplicationvndOpenxmlformatsOfficedocumentSpreadsheetmlSheetResponse{Body: body, ContentLength: f.Size(),
			Headers: importsapi.GetExportFile200ResponseHeaders{ContentDisposition: &disposition}}, nil
	case importsapi.ExportJSONL:
		return importsapi.GetExportFile200ApplicationxNdjsonResponse{Body: body, ContentLength: f.Size(),
			Headers: importsapi.GetExportFile200ResponseHeaders{ContentDisposition: &disposition}}, nil
	}
	return importsapi.GetExportFile200TextcsvResponse{Body: body, ContentLength: f.Size(),
		Headers: importsapi.GetExportFile200ResponseHeaders{ContentDisposition: &disposition}}, nil
}

func pointed[T any](v *[]T) []T {
	if v == nil {
		return nil
	}
	return *v
}

// exportLanguage is that of the headings: as asked for, or as the caller reads.
func exportLanguage(asked *importsapi.ExportLanguage, accept *string) string {
	switch {
	case asked != nil && *asked == importsapi.ExportEnglish:
		return "en"
	case asked != nil:
		return "zh"
	case accept != nil:
		return apperr.Language(*accept)
	}
	return apperr.Language("")
}

// fromAPIExportFilter reads the filter of a kind. Error: ErrExportFilter for a
// part that the other kind has.
func fromAPIExportFilter(kind string, f *importsapi.ExportFilter) (ExportFilter, error) {
	if f == nil {
		f = &importsapi.ExportFilter{}
	}
	ofOrders := map[string]bool{"/filter/customer_id": f.CustomerId != nil, "/filter/staff_id": f.StaffId != nil, "/filter/channel": f.Channel != nil, "/filter/order_status": f.OrderStatus != nil,
		"/filter/placed_after": f.PlacedAfter != nil, "/filter/placed_before": f.PlacedBefore != nil}
	ofCustomers := map[string]bool{"/filter/phone": f.Phone != nil, "/filter/phone_last4": f.PhoneLast4 != nil, "/filter/email": f.Email != nil,
		"/filter/card_number": f.CardNumber != nil, "/filter/name": f.Name != nil, "/filter/external_id": f.ExternalId != nil, "/filter/tag": f.Tag != nil,
		"/filter/assigned_staff_id": f.AssignedStaffId != nil, "/filter/lifecycle_stage": f.LifecycleStage != nil, "/filter/rfm_band": f.RfmBand != nil, "/filter/tier": f.Tier != nil,
		"/filter/status": f.Status != nil, "/filter/created_after": f.CreatedAfter != nil, "/filter/created_before": f.CreatedBefore != nil,
		"/filter/updated_after": f.UpdatedAfter != nil, "/filter/custom_fields": f.CustomFields != nil, "/filter/group_id": f.GroupId != nil,
		"/filter/data_quality": f.DataQuality != nil}
	ofProducts := map[string]bool{"/filter/category_id": f.CategoryId != nil, "/filter/brand_id": f.BrandId != nil, "/filter/product_kind": f.ProductKind != nil, "/filter/product_status": f.ProductStatus != nil}
	foreign := []map[string]bool{ofOrders, ofProducts}
	switch kind {
	case kindOrders:
		foreign = []map[string]bool{ofCustomers, ofProducts}
	case kindProducts:
		foreign = []map[string]bool{ofCustomers, ofOrders, {"/filter/store_id": f.StoreId != nil}}
	}
	for _, others := range foreign {
		for at, set := range others {
			if set {
				return ExportFilter{}, ErrExportFilter.At(at)
			}
		}
	}
	if kind == kindProducts {
		return ExportFilter{Products: &catalog.Range{CategoryID: f.CategoryId, BrandID: f.BrandId, Kind: plainText(f.ProductKind), Status: plainText(f.ProductStatus)}}, nil
	}
	if kind == kindOrders {
		return ExportFilter{Orders: &orders.Filter{StoreID: f.StoreId, CustomerID: f.CustomerId, StaffID: f.StaffId, Channel: plainText(f.Channel),
			Status: plainText(f.OrderStatus), After: f.PlacedAfter, Before: f.PlacedBefore}}, nil
	}
	var custom []customers.FieldFilter
	for _, c := range pointed(f.CustomFields) {
		custom = append(custom, customers.FieldFilter{Key: c.Key, Op: customers.FieldOp(c.Op), Values: pointed(c.Values)})
	}
	var quality customers.QualityFilter
	if q := f.DataQuality; q != nil {
		quality = customers.QualityFilter{Kind: plainText(q.Kind), Problem: plainText(q.Problem), Source: plainText(q.Source)}
		if q.StaleDays != nil {
			quality.StaleDays = int(*q.StaleDays)
		}
	}
	return ExportFilter{Customers: &customers.Filter{
		Phone: plainText(f.Phone), PhoneLast4: plainText(f.PhoneLast4), Email: plainText(f.Email), CardNumber: plainText(f.CardNumber), Name: plainText(f.Name),
		ExternalID: plainText(f.ExternalId), Tag: plainText(f.Tag), GroupID: orNilID(f.GroupId), StoreID: orNilID(f.StoreId), AssignedStaffID: orNilID(f.AssignedStaffId),
		LifecycleStage: plainText(f.LifecycleStage), RFMBand: plainText(f.RfmBand), Tier: plainText(f.Tier), Archived: plainText(f.Status) == "archived",
		CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore, UpdatedAfter: f.UpdatedAfter, Fields: custom, Quality: quality,
	}}, nil
}

func plainText[T ~string](v *T) string {
	if v == nil {
		return ""
	}
	return string(*v)
}

func toAPIExport(r *Exported) importsapi.Export {
	out := importsapi.Export{
		Id: r.ID, Kind: importsapi.ExportKind(r.Kind), Format: importsapi.ExportFormat(r.Format), Status: importsapi.ExportStatus(r.Status), ErrorCode: orNull(r.Failure),
		Clear: r.Clear, Reason: orNull(r.Reason), Fields: r.Fields, RowCount: nullable.NewNullNullable[int64](), SizeBytes: nullable.NewNullNullable[int64](),
		File: nullable.NewNullNullable[string](), FileDeleted: r.FileDeletedAt != nil, RequestedBy: r.RequestedBy, JobId: r.JobID,
		ExpiresAt: r.ExpiresAt.UTC(), Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	out.Language = importsapi.ExportEnglish
	if r.Language == "zh" {
		out.Language = importsapi.ExportChinese
	}
	if r.Ready || r.RowCount > 0 {
		out.RowCount.Set(r.RowCount)
		out.SizeBytes.Set(r.SizeBytes)
	}
	if r.Ready {
		out.File.Set("/v1/exports/" + r.ID.String() + "/file")
	}
	return out
}
