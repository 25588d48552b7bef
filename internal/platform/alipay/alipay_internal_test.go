package alipay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

func TestWhatASignatureCovers(t *testing.T) {
	form := map[string]string{"b": "2 & 3", "a": "一", "empty": "", "sign": "x", "sign_type": "RSA2"}
	require.Equal(t, "a=一&b=2 & 3&sign_type=RSA2", content(form), "of requests")
	require.Equal(t, "a=一&b=2 & 3", content(form, "sign_type"), "of notices")
}

func TestNamesOfCertificates(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	made := func(serial int64, public, private any) string {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Stand-in CA", Country: []string{"CN"}}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
		require.NoError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	one, two, other := made(17, &key.PublicKey, key), made(18, &key.PublicKey, key), made(19, &curve.PublicKey, curve)
	sum := func(serial string) string {
		sum := md5.Sum([]byte("CN=Stand-in CA,C=CN" + serial))
		return hex.EncodeToString(sum[:])
	}
	got, err := CertSN(one)
	require.NoError(t, err)
	require.Equal(t, sum("17"), got)
	got, err = RootSN(one + other + two)
	require.NoError(t, err)
	require.Equal(t, sum("17")+"_"+sum("18"), got, "roots of other algorithms are passed over")
	_, err = RootSN(other)
	require.Error(t, err)
	_, err = CertSN("hunter2")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestWhatCodesMean(t *testing.T) {
	for s, want := range map[status]*apperr.Definition{
		{"10003", ""}: pay.ErrUnknown, {"20000", "isp.unknow-error"}: pay.ErrUnknown, {"20001", "aop.invalid-auth-token"}: pay.ErrConfig,
		{"40001", "isv.missing-method"}: pay.ErrConfig, {"40002", "isv.invalid-signature"}: pay.ErrConfig, {"40002", "isv.invalid-parameter"}: pay.ErrRefused,
		{"40006", "isv.insufficient-isv-permissions"}: pay.ErrConfig, {"40005", ""}: pay.ErrLimit, {"40004", "ACQ.TRADE_NOT_EXIST"}: pay.ErrNotFound,
		{"40004", "ACQ.TRADE_HAS_SUCCESS"}: pay.ErrPaid, {"40004", "ACQ.TRADE_HAS_CLOSE"}: pay.ErrClosed, {"40004", "ACQ.SYSTEM_ERROR"}: pay.ErrUnknown,
		{"40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"}: pay.ErrBalance, {"40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"}: pay.ErrRefused, {"40004", "ACQ.NEW_ONE"}: pay.ErrProvider, {"99999", ""}: pay.ErrProvider,
	} {
		require.True(t, want.Is(refusal("refund", s)), "%v", s)
	}
	require.True(t, pay.ErrPaid.Is(refusal("close", status{"40004", "ACQ.TRADE_STATUS_ERROR"})))
	require.True(t, pay.ErrRefused.Is(refusal("refund", status{"40004", "ACQ.TRADE_STATUS_ERROR"})))
}

func FuzzDecodeNotice(f *testing.F) {
	f.Add([]byte("app_id=a&seller_id=s&notify_id=1&trade_status=TRADE_SUCCESS&out_trade_no=P1&trade_no=2&total_amount=1.00&gmt_payment=2026-01-02 03:04:05"))
	f.Add([]byte("app_id=a&app_id=b"))
	f.Add([]byte("app_id=a&seller_id=s&notify_id=1&trade_status=TRADE_CLOSED&out_trade_no=P1&trade_no=2&total_amount=1e5&refund_fee=1&out_biz_no=R"))
	f.Add([]byte("%zz"))
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := decodeForm(body)
		if err != nil {
			return
		}
		n, err := decodeNotice(Config{AppID: "a", SellerID: "s"}, form)
		if err != nil && (n.Payment != nil || n.Refund != nil) {
			t.Fatalf("a payment beside an error: %q", body)
		}
		if err == nil && n.Payment != nil && n.Payment.State == pay.Succeeded && (n.Payment.Amount <= 0 || n.Payment.Number == "") {
			t.Fatalf("money out of nothing: %q", body)
		}
	})
}

func FuzzInner(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	c := &Client{config: Config{PublicKey: &key.PublicKey}}
	inner := `{"code":"10000","msg":"Success"}`
	sign, err := pay.Sign(key, []byte(inner))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"alipay_trade_query_response": ` + inner + ` ,"sign":"` + sign + `"}`))
	f.Add([]byte(`{"error_response":{"code":"40002","sub_code":"isv.invalid-signature"}}`))
	f.Add([]byte(`{"alipay_trade_query_response":"10000","sign":7}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := c.inner("query", "alipay.trade.query", body)
		if err == nil && string(got) != inner {
			t.Fatalf("believed: %q", body)
		}
		if err != nil && apperr.From(err) == nil {
			t.Fatalf("an error without a code: %v", err)
		}
	})
}
