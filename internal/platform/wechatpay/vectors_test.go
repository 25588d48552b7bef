package wechatpay

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pay"
)

const vectorKey = "0123456789abcdef0123456789abcdef"

var vector = sealed{Type: "transaction", Algorithm: "AEAD_AES_256_GCM", Nonce: "fdasflkja484", AAD: "transaction",
	Ciphertext: "DUcclrHBE5NffFMk6pzEyhUOzEv805vSXVdOTWcxr669KE1ZsfUaWu+xWJDRToaFm60JTfuIXPEGBSOvnA=="}

// The vector is that of the protocol's description; the stand-in is pinned to
// the same one.
func TestSealedVector(t *testing.T) {
	plain, err := vector.open(vectorKey)
	require.NoError(t, err)
	require.Equal(t, `{"out_trade_no":"T1","trade_state":"SUCCESS"}`, string(plain))
	for name, spoil := range map[string]func(*sealed){
		"nonce": func(s *sealed) { s.Nonce = "fdasflkja485" }, "short nonce": func(s *sealed) { s.Nonce = "short" }, "long nonce": func(s *sealed) { s.Nonce += "x" },
		"AAD": func(s *sealed) { s.AAD = "refund" }, "algorithm": func(s *sealed) { s.Algorithm = "AES" }, "long AAD": func(s *sealed) { s.AAD = "0123456789abcdefg" },
		"no base64": func(s *sealed) { s.Ciphertext = "%" }, "nothing": func(s *sealed) { s.Ciphertext = "" }, "changed": func(s *sealed) { s.Ciphertext = "A" + s.Ciphertext[1:] },
	} {
		s := vector
		spoil(&s)
		_, err := s.open(vectorKey)
		require.Error(t, err, name)
	}
	empty := vector
	empty.AAD = ""
	_, err = empty.open(vectorKey)
	require.Error(t, err)
	_, err = vector.open("0123456789abcdef")
	require.Error(t, err, "a key of the official library's own test, too short for real ones")
}

func TestWhatATransactionSays(t *testing.T) {
	c := Config{MchID: "m", AppID: "a"}
	good := transaction{AppID: "a", MchID: "m", Number: "N-1", ID: "42", State: "SUCCESS", PaidAt: "2018-06-08T10:34:56+08:00", Amount: &money{100, "CNY"}}
	p, err := good.payment(c)
	require.NoError(t, err)
	require.Equal(t, pay.Payment{Number: "N-1", ProviderID: "42", State: pay.Succeeded, Amount: 100, Currency: "CNY", PaidAt: time.Date(2018, 6, 8, 2, 34, 56, 0, time.UTC)}, p)
	for state, want := range map[string]pay.State{"NOTPAY": pay.Pending, "USERPAYING": pay.Pending, "CLOSED": pay.Closed, "REVOKED": pay.Closed, "PAYERROR": pay.Failed, "REFUND": pay.Succeeded} {
		other := good
		other.State = state
		p, err := other.payment(c)
		require.NoError(t, err)
		require.Equal(t, want, p.State, state)
		require.Equal(t, state == "REFUND", p.Refunded)
	}
	for name, spoil := range map[string]func(*transaction){
		"state": func(t *transaction) { t.State = "MELTED" }, "number": func(t *transaction) { t.Number = "" }, "merchant": func(t *transaction) { t.MchID = "x" },
		"no merchant": func(t *transaction) { t.MchID = "" }, "app": func(t *transaction) { t.AppID = "x" }, "time": func(t *transaction) { t.PaidAt = "yesterday" },
		"amount": func(t *transaction) { t.Amount = nil }, "less than nothing": func(t *transaction) { t.Amount = &money{-1, "CNY"} }, "no payment": func(t *transaction) { t.ID = "" },
	} {
		other := good
		spoil(&other)
		_, err := other.payment(c)
		require.Error(t, err, name)
	}
	for status, want := range map[string]pay.RefundState{"PROCESSING": pay.RefundPending, "SUCCESS": pay.RefundSucceeded, "CLOSED": pay.RefundClosed, "ABNORMAL": pay.RefundAbnormal} {
		var r refund
		require.NoError(t, json.Unmarshal([]byte(`{"out_refund_no":"R-1","out_trade_no":"N-1","amount":{"refund":1}}`), &r))
		got, err := r.refund(status)
		require.NoError(t, err)
		require.Equal(t, want, got.State)
		_, err = r.refund("")
		require.Error(t, err)
	}
}

func FuzzDecodeNotice(f *testing.F) {
	body, err := json.Marshal(map[string]any{"id": "1", "event_type": "TRANSACTION.SUCCESS", "resource_type": "encrypt-resource", "resource": map[string]any{
		"original_type": vector.Type, "algorithm": vector.Algorithm, "nonce": vector.Nonce, "associated_data": vector.AAD, "ciphertext": vector.Ciphertext}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"id":"1","resource_type":"encrypt-resource","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"","ciphertext":""}}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`<xml><return_code>SUCCESS</return_code></xml>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := decodeNotice(Config{MchID: "m", AppID: "a", V3Key: vectorKey}, body)
		if err != nil && (n.Payment != nil || n.Refund != nil) {
			t.Fatalf("a payment beside an error: %q", body)
		}
		if err == nil && n.ID == "" {
			t.Fatalf("a notice without a number: %q", body)
		}
	})
}

// What stands inside the sealed part is decoded by the same types as answers.
func FuzzDecodeTransaction(f *testing.F) {
	for _, seed := range []string{`{"out_trade_no":"T1","trade_state":"SUCCESS","amount":{"total":1}}`, `{"amount":null}`, `{"amount":{"total":1e99}}`, `{"out_refund_no":"1","refund_status":"SUCCESS","amount":{"refund":-1}}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var one transaction
		if json.Unmarshal(body, &one) == nil {
			if p, err := one.payment(Config{}); err == nil && (p.Number == "" || p.State == pay.Succeeded && p.Amount <= 0) {
				t.Fatalf("money out of nothing: %q", body)
			}
		}
		var r refund
		if json.Unmarshal(body, &r) == nil {
			if out, err := r.refund(r.NoticeStatus); err == nil && (out.Number == "" || out.Amount <= 0) {
				t.Fatalf("a refund out of nothing: %q", body)
			}
		}
		_, _ = decodeCertificates(vectorKey, body)
	})
}
