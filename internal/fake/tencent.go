package fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	tencentSkew  = 5 * time.Minute
	tencentPause = 30 * time.Second
)

// tencent answers SendSms. Its errors come with HTTP 200.
func (s *Server) tencent(r *http.Request, body []byte) reply {
	if code := s.checkTC3(r, body); code != "" {
		return tencentError(code)
	}
	if r.Header.Get("X-Tc-Action") != "SendSms" || r.Header.Get("X-Tc-Version") != "2021-01-11" || r.Header.Get("X-Tc-Region") == "" {
		return tencentError("InvalidAction")
	}
	var in struct {
		PhoneNumberSet   []string
		SmsSdkAppID      string `json:"SmsSdkAppId"`
		TemplateID       string `json:"TemplateId"`
		SignName         string
		TemplateParamSet []string
		SessionContext   string
	}
	if json.Unmarshal(body, &in) != nil || len(in.PhoneNumberSet) == 0 || len(in.PhoneNumberSet) > 200 {
		return tencentError("InvalidParameter")
	}
	if in.SmsSdkAppID != TencentAppID {
		return tencentError("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
	}
	c := &s.sms
	c.mu.Lock()
	defer c.mu.Unlock()
	set := []map[string]any{}
	for _, number := range in.PhoneNumberSet {
		element := map[string]any{"SerialNo": "", "PhoneNumber": number, "Fee": 0, "SessionContext": in.SessionContext, "Code": "Ok", "Message": "send success", "IsoCode": "CN"}
		template, ok := findTemplate(func(t smsTemplate) bool { return t.tencent == in.TemplateID })
		code := ""
		mainland, domestic := strings.CutPrefix(number, "+86")
		switch {
		case in.SignName != SignName:
			code = "FailedOperation.SignatureIncorrectOrUnapproved"
		case !ok:
			code = "FailedOperation.TemplateIncorrectOrUnapproved"
		case len(in.TemplateParamSet) != len(template.values):
			code = "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
		case domestic && !mainlandMobile.MatchString(mainland), !strings.HasPrefix(number, "+"), !domestic && !foreignNumber.MatchString(number[1:]):
			code = "InvalidParameterValue.IncorrectPhoneNumber"
		case c.balance == 0:
			code = "FailedOperation.InsufficientBalanceInSmsPackage"
		default:
			code = map[string]string{
				"pause": "LimitExceeded.PhoneNumberThirtySecondLimit", "hour": "LimitExceeded.PhoneNumberOneHourLimit", "day": "LimitExceeded.PhoneNumberDailyLimit",
			}[c.limited(number, s.now(), tencentPause)]
		}
		if code != "" {
			element["Code"], element["Message"] = code, "stand-in: "+code
		} else {
			values := map[string]string{}
			for n, name := range template.values {
				values[name] = in.TemplateParamSet[n]
			}
			element["SerialNo"], element["Fee"] = c.take(SMS{Provider: "tencent", To: number, Values: values, Ref: in.SessionContext, At: s.now()}, template).ID, 1
		}
		set = append(set, element)
	}
	return jsonReply(http.StatusOK, map[string]any{"Response": map[string]any{"SendStatusSet": set, "RequestId": random(16)}})
}

// checkTC3 verifies a call as the provider's documentation describes it.
func (s *Server) checkTC3(r *http.Request, body []byte) (code string) {
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), "TC3-HMAC-SHA256 ")
	fields := strings.Split(text, ", ")
	if !found || len(fields) != 3 {
		return "AuthFailure.SignatureFailure"
	}
	credential, _ := strings.CutPrefix(fields[0], "Credential=")
	headers, _ := strings.CutPrefix(fields[1], "SignedHeaders=")
	signature, _ := strings.CutPrefix(fields[2], "Signature=")
	id, scope, _ := strings.Cut(credential, "/")
	if id != TencentKeyID {
		return "AuthFailure.SecretIdNotFound"
	}
	unix, err := strconv.ParseInt(r.Header.Get("X-Tc-Timestamp"), 10, 64)
	if err != nil {
		return "AuthFailure.SignatureFailure"
	}
	if skew := s.now().Sub(time.Unix(unix, 0)); skew > tencentSkew || skew < -tencentSkew {
		return "AuthFailure.SignatureExpire"
	}
	if headers != "content-type;host" || scope != time.Unix(unix, 0).UTC().Format("2006-01-02")+"/sms/tc3_request" {
		return "AuthFailure.SignatureFailure"
	}
	want := tc3Signature(TencentKeySecret, r.Header.Get("Content-Type"), r.Host, unix, body)
	if !hmac.Equal([]byte(want), []byte(signature)) {
		return "AuthFailure.SignatureFailure"
	}
	return ""
}

// tc3Signature computes what the signature over these bytes must be.
func tc3Signature(secret, contentType, host string, unix int64, body []byte) string {
	sum := func(b []byte) string {
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:])
	}
	sign := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write([]byte(text)) // a hash never fails
		return m.Sum(nil)
	}
	day := time.Unix(unix, 0).UTC().Format("2006-01-02")
	request := strings.Join([]string{"POST", "/", "", "content-type:" + contentType, "host:" + host, "", "content-type;host", sum(body)}, "\n")
	text := strings.Join([]string{"TC3-HMAC-SHA256", strconv.FormatInt(unix, 10), day + "/sms/tc3_request", sum([]byte(request))}, "\n")
	key := sign(sign(sign([]byte("TC3"+secret), day), "sms"), "tc3_request")
	return hex.EncodeToString(sign(key, text))
}
