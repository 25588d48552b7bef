package fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

const aliyunSkew = 15 * time.Minute

// aliyun answers SendSms.
func (s *Server) aliyun(r *http.Request, body []byte) reply {
	if status, code := s.checkACS3(r, body); code != "" {
		return aliyunError(status, code)
	}
	if r.Header.Get("X-Acs-Action") != "SendSms" || r.Header.Get("X-Acs-Version") != "2017-05-25" {
		return aliyunError(http.StatusNotFound, "InvalidAction.NotFound")
	}
	q := r.URL.Query()
	if q.Get("SignName") != SignName {
		return aliyunError(http.StatusOK, "isv.SMS_SIGNATURE_ILLEGAL")
	}
	template, ok := findTemplate(func(t smsTemplate) bool { return t.aliyun == q.Get("TemplateCode") })
	if !ok {
		return aliyunError(http.StatusOK, "isv.SMS_TEMPLATE_ILLEGAL")
	}
	values := map[string]string{}
	if json.Unmarshal([]byte(q.Get("TemplateParam")), &values) != nil {
		return aliyunError(http.StatusOK, "isv.INVALID_JSON_PARAM")
	}
	for _, name := range template.values {
		if values[name] == "" {
			return aliyunError(http.StatusOK, "isv.TEMPLATE_MISSING_PARAMETERS")
		}
	}
	numbers := strings.Split(q.Get("PhoneNumbers"), ",")
	c := &s.sms
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.balance == 0 {
		return aliyunError(http.StatusOK, "isv.AMOUNT_NOT_ENOUGH")
	}
	now := s.now()
	for n, number := range numbers {
		switch {
		case mainlandMobile.MatchString(number):
			numbers[n] = "+86" + number
		case number[:min(1, len(number))] != "1" && foreignNumber.MatchString(number):
			numbers[n] = "+" + number
		default:
			return aliyunError(http.StatusOK, "isv.MOBILE_NUMBER_ILLEGAL")
		}
		if c.limited(numbers[n], now, time.Minute) != "" {
			return aliyunError(http.StatusOK, "isv.BUSINESS_LIMIT_CONTROL")
		}
	}
	id := ""
	for _, number := range numbers {
		id = c.take(SMS{Provider: "aliyun", To: number, Values: values, Ref: q.Get("OutId"), At: now}, template).ID
	}
	return jsonReply(http.StatusOK, map[string]any{"Code": "OK", "Message": "OK", "BizId": id, "RequestId": strings.ToUpper(random(16))})
}

// checkACS3 verifies a call as the provider's documentation describes it.
func (s *Server) checkACS3(r *http.Request, body []byte) (status int, code string) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	parts := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(field, "=")
		parts[name] = value
	}
	if scheme != "ACS3-HMAC-SHA256" || parts["Signature"] == "" {
		return http.StatusBadRequest, "IncompleteSignature"
	}
	if parts["Credential"] != AliyunKeyID {
		return http.StatusNotFound, "InvalidAccessKeyId.NotFound"
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("X-Acs-Date"))
	if skew := s.now().Sub(at); err != nil || skew > aliyunSkew || skew < -aliyunSkew {
		return http.StatusBadRequest, "InvalidTimeStamp.Expired"
	}
	want := acs3Signature(AliyunKeySecret, r.Method, r.URL.RawQuery, strings.Split(parts["SignedHeaders"], ";"), func(name string) string {
		if name == "host" {
			return r.Host
		}
		return r.Header.Get(name)
	}, body)
	if !hmac.Equal([]byte(want), []byte(parts["Signature"])) {
		return http.StatusBadRequest, "SignatureDoesNotMatch"
	}
	// Every header that steers the call must be under the signature.
	for _, name := range []string{"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"} {
		if !strings.Contains(";"+parts["SignedHeaders"]+";", ";"+name+";") {
			return http.StatusBadRequest, "IncompleteSignature"
		}
	}
	nonce := r.Header.Get("X-Acs-Signature-Nonce")
	s.sms.mu.Lock()
	defer s.sms.mu.Unlock()
	if _, used := s.sms.nonces[nonce]; used || nonce == "" {
		return http.StatusBadRequest, "SignatureNonceUsed"
	}
	s.sms.nonces[nonce] = s.now()
	return 0, ""
}

// acs3Signature computes what the signature of a call must be. It works from
// the bytes that arrived: the query is taken apart and put together anew.
func acs3Signature(secret, method, rawQuery string, signed []string, header func(string) string, body []byte) string {
	var pairs []string
	for _, pair := range strings.Split(rawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		pairs = append(pairs, percent(name)+"="+percent(value))
	}
	sort.Strings(pairs)
	sort.Strings(signed)
	digest := sha256.Sum256(body)
	var text strings.Builder
	text.WriteString(method + "\n/\n" + strings.Join(pairs, "&") + "\n")
	for _, name := range signed {
		text.WriteString(name + ":" + strings.TrimSpace(header(name)) + "\n")
	}
	text.WriteString("\n" + strings.Join(signed, ";") + "\n" + hex.EncodeToString(digest[:]))
	hash := sha256.New()
	hash.Write([]byte(text.String()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n"))
	mac.Write([]byte(hex.EncodeToString(hash.Sum(nil))))
	return hex.EncodeToString(mac.Sum(nil))
}

// percent escapes all but the unreserved characters of RFC 3986, byte by byte.
func percent(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for n := range len(s) {
		c := s[n]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}
