package sms

import (
	"testing"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Whatever a provider answers, the result is a receipt or an error of ours.
func fuzzDecoder(f *testing.F, decode func(outgoing.Answer) (Receipt, error), seeds ...string) {
	for _, seed := range seeds {
		f.Add(200, []byte(seed))
	}
	f.Add(502, []byte("<html>"))
	f.Add(429, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		receipt, err := decode(outgoing.Answer{Status: status, Body: body})
		if err == nil {
			if receipt.Provider == "" {
				t.Fatalf("success without a receipt: %q", body)
			}
			return
		}
		if receipt != (Receipt{}) {
			t.Fatalf("a receipt beside an error: %q", body)
		}
		if apperr.From(err) == nil {
			t.Fatalf("an error without a code: %v", err)
		}
		for _, r := range err.Error() {
			if r < ' ' {
				t.Fatalf("a control character reaches the log: %q", err.Error())
			}
		}
	})
}

func FuzzDecodeAliyun(f *testing.F) {
	fuzzDecoder(f, decodeAliyun,
		`{"Code":"OK","Message":"OK","BizId":"9006197469364984^0","RequestId":"F655A8D5-B967-440B-8683-DAD6FF8DE990"}`,
		`{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发分钟级流控Permits:1","RequestId":"X"}`,
		`{"Code":"SignatureDoesNotMatch","Recommend":"https://example.com"}`, `{"Code":7}`, `{"code":"OK"}`, `[]`, `null`, `{}`)
}

func FuzzDecodeTencent(f *testing.F) {
	fuzzDecoder(f, decodeTencent,
		`{"Response":{"SendStatusSet":[{"SerialNo":"5000:1045710669157053657849499619","PhoneNumber":"+8618511122233","Fee":1,"SessionContext":"test","Code":"Ok","Message":"send success","IsoCode":"CN"}],"RequestId":"a0aabda6"}}`,
		`{"Response":{"SendStatusSet":[{"Code":"LimitExceeded.PhoneNumberThirtySecondLimit"}],"RequestId":"x"}}`,
		`{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"x"},"RequestId":"x"}}`,
		`{"Response":{"SendStatusSet":[{"Code":"Ok"},{"Code":"Ok"}]}}`, `{"Response":{"SendStatusSet":[]}}`, `{"Response":null}`, `[]`)
}
