package fake

import (
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

//go:embed page.txt
var page string

// routes are the services, the control API and the page that explains them.
func (s *Server) routes() {
	s.routeWeChat()
	s.routeSMS()
	s.routeOIDC()
	s.routePay()
	s.routeParcels()
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, strings.NewReplacer("{url}", s.URL, "{mail}", s.MailAddr).Replace(page))
	})

	s.mux.HandleFunc("GET /_control/place", func(w http.ResponseWriter, _ *http.Request) { jsonReply(http.StatusOK, s.Place).send(w) })
	s.mux.HandleFunc("GET "+landing, func(w http.ResponseWriter, r *http.Request) {
		found := map[string]string{}
		for name := range r.URL.Query() {
			found[name] = r.URL.Query().Get(name)
		}
		jsonReply(http.StatusOK, found).send(w)
	})
	control(s, "POST /_control/faults", func(f Fault) (any, error) {
		if err := f.check(); err != nil {
			return nil, err
		}
		s.fail(f)
		return f, nil
	})
	control(s, "POST /_control/heal", func(struct{}) (any, error) { s.Heal(); return done, nil })
	s.mux.HandleFunc("GET /_control/calls", func(w http.ResponseWriter, _ *http.Request) {
		calls := map[string]any{}
		for _, t := range Targets {
			calls[t] = map[string]int{"calls": s.Calls(t), "effects": s.Effects(t)}
		}
		jsonReply(http.StatusOK, calls).send(w)
	})

	control(s, "POST /_control/wechat/codes", func(p Person) (any, error) { return map[string]string{"code": s.LoginCode(p)}, nil })
	control(s, "POST /_control/wechat/phone-codes", func(p Phone) (any, error) {
		if p.Phone == "" {
			return nil, errors.New("phone is needed, such as +8613800138000")
		}
		return map[string]string{"code": s.PhoneCode(p)}, nil
	})
	control(s, "POST /_control/wechat/oauth-codes", func(p Person) (any, error) { return map[string]string{"code": s.OAuthCode(p)}, nil })
	control(s, "POST /_control/wechat/visitor", func(p Person) (any, error) { s.SetVisitor(p); return p, nil })
	control(s, "POST /_control/wechat/apps", func(in struct {
		AppID  string `json:"appid"`
		Secret string `json:"secret"`
	}) (any, error) {
		if in.AppID == "" || in.Secret == "" {
			return nil, errors.New("appid and secret are needed")
		}
		s.AddApp(in.AppID, in.Secret)
		return in, nil
	})
	control(s, "POST /_control/wechat/revoke-token", func(in struct {
		AppID string `json:"appid"`
	}) (any, error) {
		if in.AppID == "" {
			in.AppID = MiniAppID
		}
		s.RevokeToken(in.AppID)
		return in, nil
	})
	control(s, "POST /_control/wechat/token-quota", func(in struct {
		PerMinute int `json:"per_minute"`
		PerDay    int `json:"per_day"`
	}) (any, error) {
		s.SetTokenQuota(in.PerMinute, in.PerDay)
		return in, nil
	})

	s.mux.HandleFunc("GET /_control/sms/inbox", func(w http.ResponseWriter, r *http.Request) {
		jsonReply(http.StatusOK, map[string]any{"items": s.Messages(number(r.URL.Query().Get("to")))}).send(w)
	})
	control(s, "POST /_control/sms/clear", func(struct{}) (any, error) { s.ClearMessages(); return done, nil })
	control(s, "POST /_control/sms/limits", func(in struct {
		Enabled bool `json:"enabled"`
	}) (any, error) {
		s.SetSMSLimits(in.Enabled)
		return in, nil
	})
	control(s, "POST /_control/sms/balance", func(in struct {
		Messages int `json:"messages"`
	}) (any, error) {
		s.SetSMSBalance(in.Messages)
		return in, nil
	})

	control(s, "POST /_control/oidc/account", func(a Account) (any, error) {
		if a.Subject == "" {
			return nil, errors.New("subject is needed")
		}
		s.SetAccount(a)
		return a, nil
	})
	control(s, "POST /_control/oidc/rotate-key", func(struct{}) (any, error) { return done, s.RotateKey() })

	s.mux.HandleFunc("GET /_control/mail/inbox", func(w http.ResponseWriter, r *http.Request) {
		jsonReply(http.StatusOK, map[string]any{"items": s.Mails(r.URL.Query().Get("to"))}).send(w)
	})
}

var done = map[string]bool{"done": true}

// number forgives a "+" that the sender did not escape in the address.
func number(to string) string { return strings.Replace(to, " ", "+", 1) }

// ClearMessages empties the inbox of text messages, and with it the limits.
func (s *Server) ClearMessages() {
	s.sms.mu.Lock()
	defer s.sms.mu.Unlock()
	s.sms.inbox = nil
}

// control is one order with a JSON body; unknown fields are mistakes.
func control[In any](s *Server, pattern string, order func(In) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&in)
		if errors.Is(err, io.EOF) {
			err = nil // no body: everything by default
		}
		var out any
		if err == nil {
			out, err = order(in)
		}
		if err != nil {
			jsonReply(http.StatusBadRequest, map[string]string{"error": err.Error()}).send(w)
			return
		}
		jsonReply(http.StatusOK, out).send(w)
	})
}
