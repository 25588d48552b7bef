package pay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

func TestYuan(t *testing.T) {
	for fen, yuan := range map[int64]string{0: "0.00", 1: "0.01", 10: "0.10", 99: "0.99", 100: "1.00", 1234: "12.34", 2999: "29.99", MaxAmount: "100000000.00"} {
		require.Equal(t, yuan, Yuan(fen))
		back, err := ParseYuan(yuan)
		require.NoError(t, err)
		require.Equal(t, fen, back)
	}
	require.Equal(t, "-0.05", Yuan(-5))
	for yuan, fen := range map[string]int64{"1": 100, "1.5": 150, "0012.30": 1230, "19.99": 1999, "1.15": 115, "8.70": 870} {
		got, err := ParseYuan(yuan)
		require.NoError(t, err)
		require.Equal(t, fen, got, yuan)
	}
	for _, wrong := range []string{"", ".", "1.", ".5", "1.234", "-1.00", "+1", "1e2", "1,00", " 1", "1 ", "１", "0x1", "NaN", "100000000.01", "9999999999", "1.0.0", "1.-1"} {
		_, err := ParseYuan(wrong)
		require.Error(t, err, wrong)
	}
	for fen := range int64(100_000) {
		got, err := ParseYuan(Yuan(fen))
		require.NoError(t, err)
		require.Equal(t, fen, got)
	}
}

func FuzzParseYuan(f *testing.F) {
	for _, seed := range []string{"12.34", "0.01", "1e9", "-", "100000000.00", "00000000000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fen, err := ParseYuan(s)
		if err != nil {
			return
		}
		if fen < 0 || fen > MaxAmount {
			t.Fatalf("%q became %d", s, fen)
		}
		again, err := ParseYuan(Yuan(fen))
		if err != nil || again != fen {
			t.Fatalf("%q became %d and then %d", s, fen, again)
		}
	})
}

func TestKeys(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pkix, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	in := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	for _, text := range []string{
		in("PRIVATE KEY", pkcs8), in("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), base64.StdEncoding.EncodeToString(pkcs8),
		strings.ReplaceAll(in("PRIVATE KEY", pkcs8), "\n", `\n`),
	} {
		got, err := PrivateKey(text)
		require.NoError(t, err)
		require.True(t, key.Equal(got))
	}
	for _, text := range []string{in("PUBLIC KEY", pkix), in("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)), base64.StdEncoding.EncodeToString(pkix)} {
		got, err := PublicKey(text)
		require.NoError(t, err)
		require.True(t, key.PublicKey.Equal(got))
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	require.NoError(t, err)
	curvePublic, err := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	require.NoError(t, err)
	for _, wrong := range []string{"", "hunter2", in("PRIVATE KEY", []byte("hunter2")), in("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(weak)), in("PRIVATE KEY", curveDER)} {
		_, err := PrivateKey(wrong)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, wrong := range []string{"", "hunter2", in("CERTIFICATE", pkix), in("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&weak.PublicKey)), in("PUBLIC KEY", curvePublic)} {
		_, err := PublicKey(wrong)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	signature, err := Sign(key, []byte("message"))
	require.NoError(t, err)
	require.NoError(t, Verify(&key.PublicKey, []byte("message"), signature))
	require.Error(t, Verify(&key.PublicKey, []byte("massage"), signature))
	require.Error(t, Verify(&key.PublicKey, []byte("message"), "WECHATPAY/SIGNTEST/"+signature))
	require.Error(t, Verify(&key.PublicKey, []byte("message"), ""))
}

func TestWhatErrorsMean(t *testing.T) {
	all := map[*apperr.Definition]struct {
		certain, final bool
		outcome        outgoing.Outcome
	}{
		ErrUnknown: {false, false, outgoing.OutcomeUnknown}, ErrProvider: {false, false, outgoing.OutcomeProviderError},
		ErrDown: {true, false, outgoing.OutcomeUnavailable}, ErrLimit: {true, false, outgoing.OutcomeLimited}, ErrConfig: {true, false, outgoing.OutcomeMisconfigured},
		ErrBalance: {true, false, outgoing.OutcomeMisconfigured}, ErrNotFound: {true, false, outgoing.OutcomeRefused},
		ErrRefused: {true, true, outgoing.OutcomeRefused}, ErrPaid: {true, true, outgoing.OutcomeRefused}, ErrClosed: {true, true, outgoing.OutcomeRefused},
	}
	for d, want := range all {
		require.Equal(t, want.certain, Certain(d.New()), d.Code)
		require.Equal(t, want.final, Final(d.New()), d.Code)
		require.Equal(t, want.outcome, Outcome(d.New()), d.Code)
	}
	require.Equal(t, outgoing.OutcomeOK, Outcome(nil))
	require.True(t, ErrDown.Is(Transport(fmt.Errorf("%w: refused", outgoing.ErrNotSent))))
	require.Equal(t, outgoing.OutcomeNotSent, Outcome(Transport(fmt.Errorf("%w: refused", outgoing.ErrNotSent))))
	require.True(t, ErrUnknown.Is(Transport(outgoing.ErrUnknown)))
	require.False(t, Certain(errors.New("a bug")))
	require.Equal(t, `wechat_pay query answered "SYSTEM_ERROR" (request 08-1)`, RawCode{"wechat_pay", "query", "SYSTEM\n_ERROR", "08-1"}.Error())
	require.Len(t, Clip(strings.Repeat("x", 1000)), 64)
}

func TestWhatNoProviderTakes(t *testing.T) {
	good := Prepayment{Number: "P-1234567", Amount: 1, Currency: "CNY"}
	require.NoError(t, good.Check())
	for name, spoil := range map[string]func(*Prepayment){
		"short": func(p *Prepayment) { p.Number = "P-1" }, "long": func(p *Prepayment) { p.Number = strings.Repeat("1", 33) },
		"letters": func(p *Prepayment) { p.Number = "P/1234567" }, "nothing": func(p *Prepayment) { p.Amount = 0 }, "less": func(p *Prepayment) { p.Amount = -1 },
		"much": func(p *Prepayment) { p.Amount = MaxAmount + 1 }, "dollars": func(p *Prepayment) { p.Currency = "USD" },
	} {
		p := good
		spoil(&p)
		require.True(t, ErrRefused.Is(p.Check()), name)
	}
	refund := Refunding{Number: "R-1234567", PaymentNumber: "P-1234567", Amount: 100, Total: 100, Currency: "CNY"}
	require.NoError(t, refund.Check())
	for name, spoil := range map[string]func(*Refunding){
		"number": func(r *Refunding) { r.Number = "" }, "payment": func(r *Refunding) { r.PaymentNumber = "#" }, "nothing": func(r *Refunding) { r.Amount = 0 },
		"more than was paid": func(r *Refunding) { r.Amount = 101 }, "currency": func(r *Refunding) { r.Currency = "" },
	} {
		r := refund
		spoil(&r)
		require.True(t, ErrRefused.Is(r.Check()), name)
	}
	require.Equal(t, "书客", Title("书客", 127))
	require.Equal(t, "书", Title("书客", 5))
	require.Equal(t, "书客", Title("书客书店", 6))
	require.Empty(t, Title("书", 2))
}
