package fake

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Accounts of the SMS stand-ins.
const (
	AliyunKeyID      = "stand-in-aliyun"
	AliyunKeySecret  = "stand-in-aliyun-secret"
	TencentKeyID     = "stand-in-tencent"
	TencentKeySecret = "stand-in-tencent-secret"
	TencentAppID     = "1400000000"
	SignName         = "书客"
)

// smsTemplate is an approved template: its values in their order, and its text.
type smsTemplate struct {
	ours, aliyun, tencent string
	values                []string
	text                  string
}

var smsTemplates = []smsTemplate{
	{"sign_in_code", "SMS_100000001", "1000001", []string{"code", "minutes"}, "您的登录验证码为{code}，{minutes}分钟内有效，请勿告知他人。"},
	{"second_factor_code", "SMS_100000002", "1000002", []string{"code", "minutes"}, "您正在进行身份验证，验证码为{code}，{minutes}分钟内有效，请勿告知他人。"},
}

// SMS is a message that a stand-in took.
type SMS struct {
	Provider string            `json:"provider"`
	ID       string            `json:"id"`
	To       string            `json:"to"` // E.164
	Template string            `json:"template"`
	Values   map[string]string `json:"values"`
	Text     string            `json:"text"`
	Ref      string            `json:"ref,omitempty"`
	At       time.Time         `json:"at"`
}

type smsCentre struct {
	mu      sync.Mutex
	inbox   []SMS
	nonces  map[string]time.Time
	limits  bool
	balance int // messages left; below zero: no end
}

func (c *smsCentre) init() { c.nonces, c.limits, c.balance = map[string]time.Time{}, true, -1 }

// Limits of codes to one number: once a pause, five an hour, ten a day.
const (
	numberHour = 5
	numberDay  = 10
)

// limited names the limit that a number has reached, or nothing.
func (c *smsCentre) limited(to string, now time.Time, pause time.Duration) string {
	if !c.limits {
		return ""
	}
	var hour, day int
	for _, m := range c.inbox {
		age := now.Sub(m.At)
		switch {
		case m.To != to || age >= 24*time.Hour:
			continue
		case age < pause:
			return "pause"
		case age < time.Hour:
			hour++
		}
		day++
	}
	switch {
	case hour >= numberHour:
		return "hour"
	case day >= numberDay:
		return "day"
	}
	return ""
}

var (
	mainlandMobile = regexp.MustCompile(`^1[3-9][0-9]{9}$`)
	foreignNumber  = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)
)

// take puts a message into the inbox.
func (c *smsCentre) take(m SMS, t smsTemplate) SMS {
	m.ID = random(10)
	m.Template = t.ours
	m.Text = "【" + SignName + "】" + t.text
	for name, value := range m.Values {
		m.Text = strings.ReplaceAll(m.Text, "{"+name+"}", value)
	}
	c.inbox = append(c.inbox, m)
	if c.balance > 0 {
		c.balance--
	}
	return m
}

// Messages lists what was sent to a number, or to all when it is empty.
func (s *Server) Messages(to string) []SMS {
	s.sms.mu.Lock()
	defer s.sms.mu.Unlock()
	list := []SMS{}
	for _, m := range s.sms.inbox {
		if to == "" || m.To == to {
			m.Values = maps.Clone(m.Values)
			list = append(list, m)
		}
	}
	return list
}

// SMSCode is the code in the last message to a number, or nothing.
func (s *Server) SMSCode(to string) string {
	messages := s.Messages(to)
	if len(messages) == 0 {
		return ""
	}
	return messages[len(messages)-1].Values["code"]
}

// SetSMSLimits turns the limits per number on or off.
func (s *Server) SetSMSLimits(on bool) {
	s.sms.mu.Lock()
	defer s.sms.mu.Unlock()
	s.sms.limits = on
}

// SetSMSBalance says how many messages are left; below zero there is no end.
func (s *Server) SetSMSBalance(n int) {
	s.sms.mu.Lock()
	defer s.sms.mu.Unlock()
	s.sms.balance = n
}

// routeSMS tells the providers apart by their headers: both answer at the root
// of a host, which their signatures cover.
func (s *Server) routeSMS() {
	s.handle("POST /{$}", operation{
		target: "sms.send",
		effect: func(r *http.Request, body []byte) reply {
			switch {
			case r.Header.Get("X-Acs-Action") != "":
				return s.aliyun(r, body)
			case r.Header.Get("X-Tc-Action") != "":
				return s.tencent(r, body)
			}
			return reply{status: http.StatusNotFound}
		},
		refuse: func(r *http.Request, code string) reply {
			tencent := r.Header.Get("X-Tc-Action") != ""
			switch {
			case code == "busy" && tencent:
				code = "ResourceUnavailable"
			case code == "busy":
				code = "isp.SYSTEM_ERROR"
			case code == "limit" && tencent:
				code = "LimitExceeded.PhoneNumberDailyLimit"
			case code == "limit":
				code = "isv.BUSINESS_LIMIT_CONTROL"
			}
			if tencent {
				return tencentError(code)
			}
			return aliyunError(http.StatusOK, code)
		},
		busy: "busy", limit: "limit",
	})
}

func findTemplate(f func(smsTemplate) bool) (smsTemplate, bool) {
	n := slices.IndexFunc(smsTemplates, f)
	if n < 0 {
		return smsTemplate{}, false
	}
	return smsTemplates[n], true
}

func aliyunError(status int, code string) reply {
	return jsonReply(status, map[string]any{"Code": code, "Message": fmt.Sprintf("stand-in: %s", code), "RequestId": strings.ToUpper(random(16))})
}

func tencentError(code string) reply {
	return jsonReply(http.StatusOK, map[string]any{"Response": map[string]any{
		"Error": map[string]any{"Code": code, "Message": "stand-in: " + code}, "RequestId": random(16),
	}})
}
