package fake

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Kind is a way to misbehave.
type Kind string

// Ways to misbehave. "Before" is before the effect: a code is not spent, a
// message not taken. "After" is after it, with the answer lost.
const (
	TimeoutBefore Kind = "timeout_before"
	TimeoutAfter  Kind = "timeout_after"
	ResetBefore   Kind = "reset_before" // the connection breaks
	ResetAfter    Kind = "reset_after"
	ErrorBefore   Kind = "error_before" // HTTP 502 from a gateway
	ErrorAfter    Kind = "error_after"
	Busy          Kind = "busy"          // the service says that it is busy and did nothing
	RateLimit     Kind = "rate_limit"    // the service says that a quota is used up
	Code          Kind = "code"          // the service refuses with Fault.Code
	Garbage       Kind = "garbage"       // an answer that is no JSON
	Huge          Kind = "huge"          // an answer of some megabytes
	BusyAfter     Kind = "busy_after"    // the same words, though it did what was asked
	BadSignature  Kind = "bad_signature" // the answer's signature is of other bytes; payments only
	Tamper        Kind = "tamper"        // oidc.token: Fault.Code says what is wrong with the id_token
)

// Kinds lists them.
var Kinds = []Kind{TimeoutBefore, TimeoutAfter, ResetBefore, ResetAfter, ErrorBefore, ErrorAfter, Busy, RateLimit, Code, Garbage, Huge, BusyAfter, BadSignature, Tamper}

// Targets are the operations that can misbehave; a service's name alone means
// all of its own.
var Targets = []string{
	"wechat.app_token", "wechat.code_to_session", "wechat.phone_number", "wechat.oauth",
	"sms.send",
	"oidc.discovery", "oidc.keys", "oidc.token", "oidc.userinfo",
	"mail.send",
	"wechatpay.prepay", "wechatpay.query", "wechatpay.close", "wechatpay.refund", "wechatpay.refund_query", "wechatpay.certificates",
	"alipay.prepay", "alipay.query", "alipay.close", "alipay.refund", "alipay.refund_query",
	"kuaidi100.query", "kuaidi100.subscribe", "sf.query",
}

// Fault is one order to misbehave.
type Fault struct {
	Target string `json:"target"`          // "wechat.code_to_session", or "wechat" for all of its operations
	Kind   Kind   `json:"kind"`            // how
	Times  int    `json:"times,omitempty"` // how often; 0 means once, -1 until healed
	Code   string `json:"code,omitempty"`  // for Code and Tamper
}

func (f Fault) check() error {
	if !slices.Contains(Kinds, f.Kind) {
		return fmt.Errorf("kind %q is none of %v", f.Kind, Kinds)
	}
	if !slices.ContainsFunc(Targets, func(t string) bool { return matches(f.Target, t) }) {
		return fmt.Errorf("target %q is none of %v", f.Target, Targets)
	}
	if f.Kind == Code && f.Code == "" {
		return fmt.Errorf("kind %q needs a code", f.Kind)
	}
	if f.Kind == Tamper && (f.Target != "oidc.token" || !slices.Contains(tampering, f.Code)) {
		return fmt.Errorf("kind %q is for oidc.token with one of the codes %v", f.Kind, tampering)
	}
	return nil
}

func matches(target, operation string) bool {
	service, _, _ := strings.Cut(operation, ".")
	return target == operation || target == service
}

// faults are orders not yet carried out, and what was asked so far.
type faults struct {
	mu      sync.Mutex
	orders  []Fault
	calls   map[string]int
	effects map[string]int
	spoil   string // how to spoil the next identity token
}

func (f *faults) init() { f.calls, f.effects = map[string]int{}, map[string]int{} }

// take counts a call and finds the order for it; orders are carried out in
// their order.
func (f *faults) take(operation string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[operation]++
	for n := range f.orders {
		order := f.orders[n]
		if !matches(order.Target, operation) {
			continue
		}
		if order.Times > 0 {
			if f.orders[n].Times--; f.orders[n].Times == 0 {
				f.orders = slices.Delete(f.orders, n, n+1)
			}
		}
		if order.Kind == Tamper {
			f.spoil = order.Code
		}
		return order
	}
	return Fault{}
}

func (f *faults) happened(operation string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.effects[operation]++
}

// Fail orders a fault. It panics on one that does not exist: a test that
// misspells it would pass for the wrong reason.
func (s *Server) Fail(order Fault) {
	if err := order.check(); err != nil {
		panic("fake: " + err.Error())
	}
	s.fail(order)
}

func (s *Server) fail(order Fault) {
	if order.Times == 0 {
		order.Times = 1
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.orders = append(s.faults.orders, order)
}

// Heal takes all orders back.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.orders = nil
}

// Calls is how often an operation was asked for.
func (s *Server) Calls(operation string) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.calls[operation]
}

// Effects is how often an operation was carried out, answered or not.
func (s *Server) Effects(operation string) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.effects[operation]
}
