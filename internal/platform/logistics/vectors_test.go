package logistics

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// The vectors are those of the protocols' descriptions; the stand-ins are
// pinned to the same ones.
func TestVectors(t *testing.T) {
	require.Equal(t, "B40582FA956AFB1A3760B62CCB202BFE", querySign(`{"com":"yuantong","num":"YT0000000001"}`, "testkey", "testcustomer"))
	require.Equal(t, "966e28e52baaf2e6a4944681cb952510", PushSign(`{"status":"polling"}`, "testsalt"))
	require.Equal(t, "IIKJtuLVzoFTu4kHI8M8vA==", digest(`{"language":"zh-CN","orderId":"QIAO-20200618-004"}`, "12312334453453", "fjcg5PGKaNpPSHFAZ4QsCOkV71R3zVci"))
	require.Equal(t, "a+b*c-d_e.f%7Eg%2F%E9%A1%BA", javaEscape("a b*c-d_e.f~g/顺"))
}

func TestKuaidi100States(t *testing.T) {
	for raw, want := range map[string]State{"0": InTransit, "1": PickedUp, "2": Problem, "3": Delivered, "4": Returned, "5": Delivering, "6": Returning, "7": InTransit,
		"8": Customs, "10": Customs, "13": Customs, "14": Refused, "99": Unknown, "": Unknown} {
		require.Equal(t, want, kuaidi100State(raw), raw)
	}
}

func TestSFCodes(t *testing.T) {
	for body, want := range map[string]*apperr.Definition{
		`{"apiResultCode":"A1001"}`: ErrConfig, `{"apiResultCode":"A1003"}`: ErrConfig, `{"apiResultCode":"A1004"}`: ErrConfig, `{"apiResultCode":"A1005"}`: ErrLimit,
		`{"apiResultCode":"A1006"}`: ErrConfig, `{"apiResultCode":"A1099"}`: ErrDown, `{"apiResultCode":"A2000"}`: ErrProvider, `{}`: ErrProvider, `[`: ErrProvider,
		`{"apiResultCode":"A1000","apiResultData":"<xml/>"}`:                                                                     ErrProvider,
		`{"apiResultCode":"A1000","apiResultData":"{\"success\":false,\"errorCode\":\"S0001\"}"}`:                                ErrRefused,
		`{"apiResultCode":"A1000","apiResultData":"{\"success\":true,\"errorCode\":\"S0000\",\"msgData\":{\"routeResps\":[]}}"}`: ErrNotFound,
	} {
		_, err := decodeRoutes([]byte(body), "SF1")
		require.True(t, want.Is(err), "%s: %v", body, err)
	}
}

func FuzzParsers(f *testing.F) {
	for _, seed := range []string{
		`param={"status":"polling","lastResult":{"state":"0","com":"yuantong","nu":"YT1","data":[{"ftime":"2026-01-02 03:04:05","context":"x"}]}}&sign=x`,
		`{"Body":{"WaybillRoute":[{"id":1,"mailno":"SF1","acceptTime":"2026-01-02 03:04:05","opCode":50,"remark":"x"}]}}`,
		`{"message":"ok","state":3,"status":"200","com":"yuantong","nu":"YT1","data":[]}`, `{"result":false,"returnCode":408}`,
		`{"apiResultCode":"A1000","apiResultData":"{\"success\":true,\"errorCode\":\"S0000\",\"msgData\":{\"routeResps\":[{\"mailNo\":\"YT1\",\"routes\":[{}]}]}}"}`,
		`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>`, `param=%zz`, `null`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sound := func(tr Track, err error) {
			if err != nil {
				if apperr.From(err) == nil {
					t.Fatalf("an error without a code: %v", err)
				}
				return
			}
			if tr.Number == "" || len(tr.Events) > eventsMost {
				t.Fatalf("a track without a number, or without end: %q", body)
			}
			for n, e := range tr.Events {
				if e.At.IsZero() || e.Text == "" || n > 0 && e.At.Before(tr.Events[n-1].At) {
					t.Fatalf("events out of order: %q", body)
				}
			}
		}
		sound(decodeQuery(body, Parcel{Number: "YT1"}))
		sound(decodeRoutes(body, "YT1"))
		if form, _, err := decodePush(body); err == nil {
			signed := "param=" + url.QueryEscape(form.Get("param")) + "&sign=" + PushSign(form.Get("param"), "s")
			push, err := ParseKuaidi100Push([]byte(signed), "s")
			sound(push.Track, err)
			if _, err := ParseKuaidi100Push(body, "another salt"); err == nil {
				t.Fatalf("believed with another salt: %q", body)
			}
		}
		_, _ = PushNumber(body)
		_ = decodeSubscribe(body)
		tracks, err := ParseSFPush(body)
		for _, tr := range tracks {
			sound(tr, err)
		}
	})
}
