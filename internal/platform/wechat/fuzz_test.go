package wechat

import (
	"errors"
	"strings"
	"testing"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// known reports whether a decoder failed in one of the ways that callers map.
func known(err error) bool {
	var refused refusal
	return errors.As(err, &refused) || errors.Is(err, errUnreadable) || apperr.From(err) != nil
}

func FuzzDecodeSession(f *testing.F) {
	for _, seed := range []string{
		`{"openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","session_key":"tiihtNczf5v6AKRyjwEUhQ==","unionid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","errcode":0,"errmsg":"ok"}`,
		`{"errcode":40029,"errmsg":"invalid code, rid: 61725984-6126f6f9-040f19c4"}`, `{"errcode":-1,"errmsg":"system error"}`,
		`{"openid":""}`, `{"openid":7}`, `{"errcode":"40029"}`, `{"openid":"a b"}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := decodeSession(body)
		if err != nil {
			if !known(err) || s != (Session{}) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !plausibleID(s.OpenID) || s.UnionID != "" && !plausibleID(s.UnionID) {
			t.Fatalf("accepted %q", body)
		}
	})
}

func FuzzDecodePhone(f *testing.F) {
	for _, seed := range []string{
		`{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":86,"watermark":{"timestamp":1637744274,"appid":"wx1"}}}`,
		`{"errcode":0,"phone_info":{"purePhoneNumber":"51234567","countryCode":"852","watermark":{"appid":"wx1"}}}`,
		`{"errcode":0,"phone_info":{"purePhoneNumber":"13800138000","countryCode":"86","watermark":{"appid":"wx2"}}}`,
		`{"errcode":40001,"errmsg":"invalid credential, rid: x"}`, `{"phone_info":{"countryCode":null}}`, `{"phone_info":{"countryCode":[86]}}`, `{"phone_info":7}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		phone, err := decodePhone(body, "wx1")
		if err != nil {
			if !known(err) || phone != "" {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !strings.HasPrefix(phone, "+") || len(phone) < 8 || len(phone) > 16 {
			t.Fatalf("accepted %q as %q", body, phone)
		}
	})
}

func FuzzDecodeUser(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"A","expires_in":7200,"refresh_token":"R","openid":"o1","scope":"snsapi_userinfo","unionid":"u1"}`,
		`{"openid":"o1","is_snapshotuser":1}`, `{"openid":"o1","is_snapshotuser":true}`, `{"errcode":40163,"errmsg":"code been used, rid: x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := decodeUser(body)
		if err != nil {
			if !known(err) || u != (User{}) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !plausibleID(u.OpenID) {
			t.Fatalf("accepted %q", body)
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"67_x","expires_in":7200}`, `{"access_token":"x","expires_in":0}`, `{"access_token":"x","expires_in":9223372036854775807}`,
		`{"errcode":40125,"errmsg":"invalid appsecret, rid: x"}`, `{"access_token":"","expires_in":7200}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeToken(body)
		if err != nil {
			if !known(err) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if a.Token == "" || len(a.Token) > longestToken || a.ExpiresIn < 1 || a.ExpiresIn > 7200 {
			t.Fatalf("accepted %q", body)
		}
	})
}
