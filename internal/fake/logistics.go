package fake

import (
	"crypto/md5" //nolint:gosec // what the providers sign with
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Accounts of the logistics stand-ins.
const (
	Kuaidi100Customer = "STANDIN0000000000000000000000001"
	Kuaidi100Key      = "stand-in-kuaidi100-key"
	SFPartnerID       = "STANDIN_SF"
	SFCheckword       = "stand-in-sf-checkword"
)

// parcels are what the logistics stand-ins know.
type parcels struct {
	mu     sync.Mutex
	list   []*parcel
	sfPush string // where SF's increments go
	seq    int
	pushes []Push
}

func (*parcels) init() {}

type parcel struct {
	com, number, phone string // company: as Kuaidi100 writes it; phone: what SF asks for
	state              string
	scans              []scan // oldest first
	callback, salt     string
}

type scan struct {
	id          int
	at          time.Time
	text, place string
	op          string // SF's code
}

// Scan orders an event of a parcel's way.
type Scan struct {
	Carrier string    `json:"carrier"` // yuantong, shunfeng, …
	Number  string    `json:"number"`
	Text    string    `json:"text"`
	Place   string    `json:"place,omitempty"`
	State   string    `json:"state,omitempty"`   // Kuaidi100's: 0 in transit, 1 picked up, 5 delivering, 3 signed, …
	OpCode  string    `json:"op_code,omitempty"` // SF's: 50 picked up, 80 signed
	At      time.Time `json:"at,omitzero"`       // now when absent
	Silent  bool      `json:"silent,omitempty"`  // no push follows
	Phone   string    `json:"phone,omitempty"`   // its last four digits must come with a query from then on
}

// Push is one push and what became of it.
type Push struct {
	Number string `json:"number"`
	Kind   string `json:"kind"` // kuaidi100 or sf
	Status int    `json:"status"`
	Body   string `json:"body"`
	Taken  bool   `json:"taken"`
	Error  string `json:"error,omitempty"`
}

// PushOrder orders a push of a parcel by hand.
type PushOrder struct {
	Number     string `json:"number"`
	Status     string `json:"status,omitempty"`      // polling (default), shutdown, abort, updateall
	CarrierNew string `json:"carrier_new,omitempty"` // a corrected carrier
	Spoil      string `json:"spoil,omitempty"`       // signature, garbage
	Times      int    `json:"times,omitempty"`
	To         string `json:"to,omitempty"`
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // as documented
	return hex.EncodeToString(sum[:])
}

func (p *parcels) find(number string) *parcel {
	for _, one := range p.list {
		if one.number == number {
			return one
		}
	}
	return nil
}

// AddScan puts an event on a parcel's way and pushes it to whoever subscribed.
// Error: no number.
func (s *Server) AddScan(in Scan) ([]Push, error) {
	if in.Number == "" || in.Carrier == "" {
		return nil, errors.New("carrier and number are needed")
	}
	p := &s.parcel
	p.mu.Lock()
	one := p.find(in.Number)
	if one == nil {
		one = &parcel{com: in.Carrier, number: in.Number, state: "0"}
		p.list = append(p.list, one)
	}
	if in.Text != "" {
		if in.At.IsZero() {
			in.At = s.now()
		}
		if in.State != "" {
			one.state = in.State
		}
		p.seq++
		one.scans = append(one.scans, scan{p.seq, in.At, in.Text, in.Place, in.OpCode})
		slices.SortStableFunc(one.scans, func(a, b scan) int { return a.at.Compare(b.at) })
	}
	if in.Phone != "" {
		one.phone = in.Phone
	}
	subscribed, sf := one.callback != "", p.sfPush
	p.mu.Unlock()
	if in.Silent {
		return nil, nil
	}
	var pushes []Push
	if subscribed {
		more, err := s.PushParcel(PushOrder{Number: in.Number})
		if err != nil {
			return nil, err
		}
		pushes = more
	}
	if sf != "" && in.Carrier == "shunfeng" && in.Text != "" {
		pushes = append(pushes, s.pushSF(sf, in))
	}
	return pushes, nil
}

// ForgetScans empties a parcel's way, as a carrier does that writes it anew.
func (s *Server) ForgetScans(number string) {
	s.parcel.mu.Lock()
	defer s.parcel.mu.Unlock()
	if one := s.parcel.find(number); one != nil {
		one.scans = nil
	}
}

// PushParcel sends Kuaidi100's push: the whole history, newest first.
// Error: nobody subscribed.
func (s *Server) PushParcel(o PushOrder) ([]Push, error) {
	p := &s.parcel
	p.mu.Lock()
	one := p.find(o.Number)
	if one == nil || one.callback == "" && o.To == "" {
		p.mu.Unlock()
		return nil, fmt.Errorf("nobody subscribed to %q", o.Number)
	}
	if o.Status == "" {
		o.Status = "polling"
		if one.state == "3" || one.state == "4" {
			o.Status = "shutdown"
		}
	}
	content := map[string]any{"status": o.Status, "billstatus": "got", "message": "", "autoCheck": "0", "comOld": "", "comNew": "", "lastResult": one.kuaidi100()}
	if o.CarrierNew != "" {
		content["autoCheck"], content["comOld"], content["comNew"] = "1", one.com, o.CarrierNew
		one.com = o.CarrierNew
		content["lastResult"] = one.kuaidi100()
	}
	to, salt := one.callback, one.salt
	if o.Status == "abort" {
		one.callback = "" // whoever wants to know more subscribes again
	}
	p.mu.Unlock()
	if o.To != "" {
		to = o.To
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	param := string(raw)
	sign := strings.ToUpper(md5Hex(param + salt))
	switch o.Spoil {
	case "signature":
		sign = strings.ToUpper(md5Hex(param + salt + "x"))
	case "garbage":
		param = param[:len(param)/2]
		sign = strings.ToUpper(md5Hex(param + salt))
	}
	var all []Push
	for range max(1, o.Times) {
		all = append(all, s.push("kuaidi100", o.Number, to, "application/x-www-form-urlencoded", url.Values{"param": {param}, "sign": {sign}}.Encode()))
	}
	return all, nil
}

func (s *Server) pushSF(to string, in Scan) Push {
	s.parcel.mu.Lock()
	id := s.parcel.seq
	s.parcel.mu.Unlock()
	raw, err := json.Marshal(map[string]any{"Body": map[string]any{"WaybillRoute": []any{map[string]any{
		"id": fmt.Sprint(id), "mailno": in.Number, "orderid": "", "acceptTime": in.At.In(beijing).Format(alipayTime), "acceptAddress": in.Place, "opCode": in.OpCode, "remark": in.Text,
	}}}})
	if err != nil {
		return Push{Error: err.Error()}
	}
	return s.push("sf", in.Number, to, "application/json;charset=UTF-8", string(raw))
}

func (s *Server) push(kind, number, to, contentType, body string) Push {
	d, out := Delivery{}, Push{Number: number, Kind: kind}
	if err := s.post(to, http.Header{"Content-Type": {contentType}}, []byte(body), &d); err != nil {
		out.Error = err.Error()
	}
	out.Status, out.Body = d.Status, d.Body
	var answer struct {
		Result bool   `json:"result"`
		Code   string `json:"returnCode"`
		SF     string `json:"return_code"`
	}
	if json.Unmarshal([]byte(d.Body), &answer) == nil && d.Status == http.StatusOK {
		out.Taken = kind == "kuaidi100" && answer.Result && answer.Code == "200" || kind == "sf" && answer.SF == "0000"
	}
	s.parcel.mu.Lock()
	defer s.parcel.mu.Unlock()
	s.parcel.pushes = append(s.parcel.pushes, out)
	return out
}

// Subscribed tells where the pushes of a number go, or nothing.
func (s *Server) Subscribed(number string) string {
	s.parcel.mu.Lock()
	defer s.parcel.mu.Unlock()
	if one := s.parcel.find(number); one != nil {
		return one.callback
	}
	return ""
}

// SetSFPush says where SF's increments go.
func (s *Server) SetSFPush(address string) {
	s.parcel.mu.Lock()
	defer s.parcel.mu.Unlock()
	s.parcel.sfPush = address
}

// kuaidi100 is a parcel as Kuaidi100 tells of it.
func (p *parcel) kuaidi100() map[string]any {
	data := []any{}
	for _, e := range slices.Backward(p.scans) {
		at := e.at.In(beijing).Format(alipayTime)
		data = append(data, map[string]any{"time": at, "ftime": at, "context": e.text, "areaName": e.place, "status": "在途"})
	}
	signed := "0"
	if p.state == "3" {
		signed = "1"
	}
	return map[string]any{"message": "ok", "state": p.state, "status": "200", "condition": "F00", "ischeck": signed, "com": p.com, "nu": p.number, "data": data}
}

func (s *Server) routeParcels() {
	failure := func(code string) reply {
		return jsonReply(http.StatusOK, map[string]any{"result": false, "returnCode": code, "message": "stand-in: " + code})
	}
	refuse := func(_ *http.Request, code string) reply { return failure(code) }
	s.handle("POST /poll/query.do", operation{target: "kuaidi100.query", busy: "500", limit: "601", refuse: refuse, effect: func(_ *http.Request, body []byte) reply {
		form, _ := url.ParseQuery(string(body))
		param := form.Get("param")
		if form.Get("customer") != Kuaidi100Customer || form.Get("sign") != strings.ToUpper(md5Hex(param+Kuaidi100Key+Kuaidi100Customer)) {
			return failure("503")
		}
		var in struct {
			Com   string `json:"com"`
			Num   string `json:"num"`
			Phone string `json:"phone"`
		}
		if json.Unmarshal([]byte(param), &in) != nil || in.Com == "" || in.Num == "" {
			return failure("400")
		}
		s.parcel.mu.Lock()
		defer s.parcel.mu.Unlock()
		one := s.parcel.find(in.Num)
		switch {
		case in.Com == "shunfeng" && in.Phone == "" || one != nil && one.phone != "" && !strings.HasSuffix(in.Phone, one.phone):
			return failure("408")
		case one == nil || len(one.scans) == 0:
			return failure("500")
		}
		return jsonReply(http.StatusOK, one.kuaidi100())
	}})
	s.handle("POST /poll", operation{target: "kuaidi100.subscribe", busy: "500", limit: "601", refuse: refuse, effect: func(_ *http.Request, body []byte) reply {
		form, _ := url.ParseQuery(string(body))
		var in struct {
			Company    string `json:"company"`
			Number     string `json:"number"`
			Key        string `json:"key"`
			Parameters struct {
				Callback string `json:"callbackurl"`
				Salt     string `json:"salt"`
				Phone    string `json:"phone"`
			} `json:"parameters"`
		}
		if form.Get("schema") != "json" || json.Unmarshal([]byte(form.Get("param")), &in) != nil || in.Number == "" || !strings.HasPrefix(in.Parameters.Callback, "http") {
			return failure("701")
		}
		if in.Key != Kuaidi100Key {
			return failure("600")
		}
		s.parcel.mu.Lock()
		defer s.parcel.mu.Unlock()
		one := s.parcel.find(in.Number)
		if one == nil {
			one = &parcel{com: in.Company, number: in.Number, state: "0"}
			s.parcel.list = append(s.parcel.list, one)
		}
		if one.callback != "" {
			return failure("501")
		}
		one.callback, one.salt = in.Parameters.Callback, in.Parameters.Salt
		return jsonReply(http.StatusOK, map[string]any{"result": true, "returnCode": "200", "message": "提交成功"})
	}})
	s.handle("POST /std/service", operation{target: "sf.query", busy: "A1099", limit: "A1005", effect: s.sfQuery, refuse: func(_ *http.Request, code string) reply {
		if strings.HasPrefix(code, "A1") {
			return sfOuter(code, "")
		}
		return sfOuter("A1000", `{"success":false,"errorCode":"`+code+`","errorMsg":"stand-in"}`)
	}})
	control(s, "POST /_control/logistics/scans", func(in Scan) (any, error) {
		pushes, err := s.AddScan(in)
		return map[string]any{"items": slices.Concat([]Push{}, pushes)}, err
	})
	control(s, "POST /_control/logistics/push", func(in PushOrder) (any, error) {
		pushes, err := s.PushParcel(in)
		return map[string]any{"items": pushes}, err
	})
	control(s, "POST /_control/logistics/sf-push", func(in struct {
		URL string `json:"url"`
	}) (any, error) {
		s.SetSFPush(in.URL)
		return in, nil
	})
}

func sfOuter(code, inner string) reply {
	return jsonReply(http.StatusOK, map[string]any{"apiErrorMsg": "", "apiResponseID": random(16), "apiResultCode": code, "apiResultData": inner})
}

// sfDigest signs as SF's Java code does: percent-encoding by its own rules.
func sfDigest(content, timestamp, checkword string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(content + timestamp + checkword) {
		switch {
		case c == ' ':
			b.WriteByte('+')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '*', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	sum := md5.Sum([]byte(b.String())) //nolint:gosec // as documented
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (s *Server) sfQuery(_ *http.Request, body []byte) reply {
	form, _ := url.ParseQuery(string(body))
	for _, name := range []string{"partnerID", "requestID", "serviceCode", "timestamp", "msgData", "msgDigest"} {
		if form.Get(name) == "" {
			return sfOuter("A1001", "")
		}
	}
	if form.Get("partnerID") != SFPartnerID || form.Get("msgDigest") != sfDigest(form.Get("msgData"), form.Get("timestamp"), SFCheckword) {
		return sfOuter("A1006", "")
	}
	var in struct {
		Type    string   `json:"trackingType"`
		Numbers []string `json:"trackingNumber"`
		Method  string   `json:"methodType"`
		Phone   string   `json:"checkPhoneNo"`
	}
	if form.Get("serviceCode") != "EXP_RECE_SEARCH_ROUTES" || json.Unmarshal([]byte(form.Get("msgData")), &in) != nil || in.Type != "1" || in.Method != "1" || len(in.Numbers) == 0 || len(in.Numbers) > 10 {
		return sfOuter("A1000", `{"success":false,"errorCode":"S0001","errorMsg":"stand-in"}`)
	}
	s.parcel.mu.Lock()
	defer s.parcel.mu.Unlock()
	resps := []any{}
	for _, number := range in.Numbers {
		routes := []any{}
		// A wrong phone tail shows no routes, without an error.
		if one := s.parcel.find(number); one != nil && (one.phone == "" || one.phone == in.Phone) {
			for _, e := range one.scans {
				routes = append(routes, map[string]any{"acceptTime": e.at.In(beijing).Format(alipayTime), "acceptAddress": e.place, "remark": e.text, "opCode": e.op})
			}
		}
		resps = append(resps, map[string]any{"mailNo": number, "routes": routes})
	}
	inner, err := json.Marshal(map[string]any{"success": true, "errorCode": "S0000", "errorMsg": nil, "msgData": map[string]any{"routeResps": resps}})
	if err != nil {
		panic(err)
	}
	return sfOuter("A1000", string(inner))
}
