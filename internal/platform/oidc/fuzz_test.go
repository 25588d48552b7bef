package oidc

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"248289761001","name":"Jane Doe","email":"janedoe@example.com","email_verified":"true","phone_number":"+86 138-0013-8000","phone_number_verified":true,"azp":"crm"}`,
		`{"email":"a@b@c","phone_number":"call me"}`, `{"email_verified":null}`, `{"email_verified":1}`, `{"name":"  "}`, `{"name":7}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var c claims
		if json.Unmarshal(body, &c) != nil {
			return
		}
		id := c.identity("s")
		switch {
		case id.Subject != "s":
			t.Fatal("another subject")
		case id.EmailVerified && id.Email == "", id.PhoneVerified && id.Phone == "":
			t.Fatalf("verified nothing: %q", body)
		case id.Phone != "" && !strings.HasPrefix(id.Phone, "+"):
			t.Fatalf("accepted %q as %q", body, id.Phone)
		}
	})
}
