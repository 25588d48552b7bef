package segments

import (
	"context"
	"encoding/json"
	"time"

	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	commonapi "github.com/shuke-crm/shuke/api/common"
	segmentsapi "github.com/shuke-crm/shuke/api/segments"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// API answers this domain's operations.
type API struct{ *Service }

var _ segmentsapi.StrictServerInterface = API{}

// GetRFMSettings implements getRFMSettings.
func (a API) GetRFMSettings(ctx context.Context, _ segmentsapi.GetRFMSettingsRequestObject) (segmentsapi.GetRFMSettingsResponseObject, error) {
	s, err := a.LoadSettings(ctx)
	if err != nil {
		return nil, err
	}
	return segmentsapi.GetRFMSettings200JSONResponse{
		Body: toAPISettings(s), Headers: segmentsapi.GetRFMSettings200ResponseHeaders{ETag: etag.Header(s.Version)},
	}, nil
}

// UpdateRFMSettings implements updateRFMSettings.
func (a API) UpdateRFMSettings(ctx context.Context, r segmentsapi.UpdateRFMSettingsRequestObject) (segmentsapi.UpdateRFMSettingsResponseObject, error) {
	in := rfm.Settings{WindowDays: int(r.Body.WindowDays), Bands: make([]rfm.Rule, len(r.Body.Bands))}
	names := map[string]string{}
	for i, b := range r.Body.Bands {
		in.Bands[i] = fromAPIBand(b)
		names[b.Code] = b.Name
	}
	s, err := a.UpdateSettings(ctx, r.Params.IfMatch, in, names)
	if err != nil {
		return nil, err
	}
	return segmentsapi.UpdateRFMSettings200JSONResponse{
		Body: toAPISettings(s), Headers: segmentsapi.UpdateRFMSettings200ResponseHeaders{ETag: etag.Header(s.Version)},
	}, nil
}

// GetRFMDistribution implements getRFMDistribution.
func (a API) GetRFMDistribution(ctx context.Context, _ segmentsapi.GetRFMDistributionRequestObject) (segmentsapi.GetRFMDistributionResponseObject, error) {
	d, err := a.RFMDistribution(ctx)
	if err != nil {
		return nil, err
	}
	out := segmentsapi.RFMDistribution{BusinessOn: date(d.Day), Bands: make([]segmentsapi.RFMBandCount, len(d.Settings.Bands)), Total: d.Total, Unbanded: d.Total}
	for i, b := range d.Settings.Bands {
		out.Bands[i] = segmentsapi.RFMBandCount{Code: b.Code, Name: d.Settings.Names[b.Code], Customers: d.Counts[b.Code]}
		// What is left includes bands of former settings, until the job is through.
		out.Unbanded -= d.Counts[b.Code]
	}
	return segmentsapi.GetRFMDistribution200JSONResponse(out), nil
}

// RefreshRFM implements refreshRFM.
func (a API) RefreshRFM(ctx context.Context, _ segmentsapi.RefreshRFMRequestObject) (segmentsapi.RefreshRFMResponseObject, error) {
	job, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	location := "/v1/jobs/" + job.ID.String()
	return segmentsapi.RefreshRFM202JSONResponse{
		Body: commonapi.JobAccepted{Job: toAPIJob(job)}, Headers: segmentsapi.RefreshRFM202ResponseHeaders{Location: &location},
	}, nil
}

// GetCustomerMetrics implements getCustomerMetrics.
func (a API) GetCustomerMetrics(ctx context.Context, r segmentsapi.GetCustomerMetricsRequestObject) (segmentsapi.GetCustomerMetricsResponseObject, error) {
	m, err := a.CustomerMetrics(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body := toAPIMetrics(m)
	return segmentsapi.GetCustomerMetrics200JSONResponse{
		Body: body, Headers: segmentsapi.GetCustomerMetrics200ResponseHeaders{ETag: etag.Header(body.Version)},
	}, nil
}

func toAPISettings(s *Settings) segmentsapi.RFMSettings {
	out := segmentsapi.RFMSettings{
		WindowDays: int32(s.WindowDays), Bands: make([]segmentsapi.RFMBand, len(s.Bands)), RefreshJobId: opt.OrNull(s.JobID),
		Version: s.Version, UpdatedAt: nullable.NewNullNullable[time.Time](),
	}
	if s.UpdatedAt != nil {
		out.UpdatedAt.Set(s.UpdatedAt.UTC())
	}
	for i, b := range s.Bands {
		out.Bands[i] = segmentsapi.RFMBand{
			Code: b.Code, Name: s.Names[b.Code], RecencyBelow: number[int32](b.RecencyBelow), RecencyAbove: number[int32](b.RecencyAbove),
			FrequencyAtLeast: b.FrequencyAtLeast, FrequencyAtMost: b.FrequencyAtMost,
			MonetaryAtLeastAmount: b.MonetaryAtLeast, MonetaryBelowAmount: b.MonetaryBelow,
		}
	}
	return out
}

func fromAPIBand(b segmentsapi.RFMBand) rfm.Rule {
	return rfm.Rule{
		Code: b.Code, RecencyBelow: number[int](b.RecencyBelow), RecencyAbove: number[int](b.RecencyAbove),
		FrequencyAtLeast: b.FrequencyAtLeast, FrequencyAtMost: b.FrequencyAtMost,
		MonetaryAtLeast: b.MonetaryAtLeastAmount, MonetaryBelow: b.MonetaryBelowAmount,
	}
}

func toAPIMetrics(m *Seen) segmentsapi.CustomerMetrics {
	out := segmentsapi.CustomerMetrics{
		Id: m.CustomerID, CustomerId: m.CustomerID, FirstOrderOn: dateOrNull(m.FirstOrder), LastOrderOn: dateOrNull(m.LastOrder),
		OrderCount: m.Orders, PurchaseDays: m.PurchaseDays, UnitCount: m.Units, SpentAmount: m.Spent,
		AverageOrderAmount: rfm.AverageOrder(m.Spent, m.Orders), ReturnCount: m.Returns, ReturnedAmount: m.Returned, NetSpentAmount: m.Spent - m.Returned,
		RecencyDays: opt.OrNull(number[int64](m.Recency)), Frequency: m.Frequency, MonetaryAmount: m.Monetary, WindowDays: int32(m.WindowDays),
		WindowOrderCount: m.WindowOrders, WindowSpentAmount: m.Monetary + m.WindowReturned, WindowReturnedAmount: m.WindowReturned,
		ReturnRate: opt.OrNull(rfm.ReturnRate(m.WindowReturned, m.Monetary+m.WindowReturned)),
		RfmBand:    nullable.NewNullNullable[string](), UpdatedAt: opt.OrNull(m.UpdatedAt),
	}
	if m.Band != "" {
		out.RfmBand.Set(m.Band)
	}
	if m.UpdatedAt != nil {
		out.Version = m.UpdatedAt.UnixMicro()
	}
	return out
}

// toAPIJob shows a job that has just been accepted.
func toAPIJob(j *platform.Job) commonapi.Job {
	total := nullable.NewNullNullable[int64]()
	if j.ProgressTotal > 0 {
		total.Set(j.ProgressTotal)
	}
	out := commonapi.Job{
		Id: j.ID, Kind: j.Kind, Status: commonapi.JobStatus(j.Status), Progress: commonapi.JobProgress{Done: j.ProgressDone, Total: total},
		CancelRequested: j.CancelRequested, RequestedBy: j.RequestedBy, ErrorCode: nullable.NewNullNullable[string](),
		Result: nullable.NewNullNullable[commonapi.JobResult](), Version: j.Version, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(),
		StartedAt: opt.OrNull(j.StartedAt), FinishedAt: opt.OrNull(j.FinishedAt),
	}
	var result commonapi.JobResult
	if json.Unmarshal(j.Result, &result) == nil {
		out.Result.Set(result)
	}
	return out
}

func date(d clock.Day) openapi_types.Date { return openapi_types.Date{Time: d.Time()} }

func dateOrNull(d *clock.Day) nullable.Nullable[openapi_types.Date] {
	if d == nil {
		return nullable.NewNullNullable[openapi_types.Date]()
	}
	return nullable.NewNullableWithValue(date(*d))
}

// number converts between the contract's integers and ours.
func number[B, A int | int32 | int64](p *A) *B {
	if p == nil {
		return nil
	}
	v := B(*p)
	return &v
}
