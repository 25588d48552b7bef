package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// bodyLimit is far above what a client of these services sends.
const bodyLimit = 1 << 20

// Options of Start.
type Options struct {
	Addr string           // HTTP; "127.0.0.1:0" when empty
	Mail string           // SMTP; a free port of the same host when empty
	Now  func() time.Time // the tests' clock; time.Now when nil
	Log  *slog.Logger     // nil logs nothing
}

// Server is all stand-ins on one HTTP address, and the mail server.
type Server struct {
	Place

	now  func() time.Time
	log  *slog.Logger
	http *http.Server
	web  net.Listener
	mux  *http.ServeMux
	stop chan struct{} // ends requests that hang on command
	once sync.Once

	faults faults
	wechat wechat
	sms    smsCentre
	oidc   issuer
	mail   *mailServer
	pay    payCentre
	parcel parcels
}

// Start listens and answers until Close.
// Error: an address that is not to be had.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the stand-ins: %w", err)
	}
	s := &Server{
		Place: Place{URL: "http://" + listener.Addr().String()}, now: o.Now, log: o.Log, mux: http.NewServeMux(), web: listener, stop: make(chan struct{}),
	}
	s.faults.init()
	s.wechat.init()
	s.sms.init()
	s.oidc.init(s.issuer())
	s.pay.init()
	s.parcel.init()
	if o.Mail == "" {
		host, _, _ := net.SplitHostPort(listener.Addr().String()) // a listener's address is well formed
		o.Mail = net.JoinHostPort(host, "0")
	}
	if s.mail, err = s.startMail(o.Mail); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.MailAddr = s.mail.addr
	s.routes()
	s.http = &http.Server{Handler: s.mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = s.http.Serve(listener) }() // returns when closed
	return s, nil
}

// Close ends the servers and every connection.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		err = errors.Join(s.http.Close(), s.mail.close())
		_ = s.web.Close() // the server knows it only once it serves
	})
	return err
}

// Run answers until the context is over.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return s.Close()
}

// reply is an answer before it is sent, so that a fault can swallow it.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func jsonReply(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		return reply{status: http.StatusInternalServerError, body: []byte(err.Error())}
	}
	return reply{status: status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: body}
}

func (r reply) send(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // the client may be gone, which is its affair
}

// operation is one call that a service answers.
type operation struct {
	target string // "wechat.code_to_session"
	// effect does what is asked.
	effect func(r *http.Request, body []byte) reply
	// refuse is the service's way of answering with an error code.
	refuse func(r *http.Request, code string) reply
	busy   string // the code for a busy service
	limit  string // the code for a quota that is used up
	// spoil breaks the signature of an answer, where there is one.
	spoil func(reply) reply
}

// handle answers an operation, or misbehaves with it.
func (s *Server) handle(pattern string, o operation) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(w, r)
		if err != nil {
			reply{status: http.StatusBadRequest}.send(w)
			return
		}
		s.answer(w, r, body, o)
	})
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte, o operation) {
	f := s.faults.take(o.target)
	effect := func() reply {
		s.faults.happened(o.target)
		return o.effect(r, body)
	}
	s.log.Debug("stand-in asked", "operation", o.target, "fault", f.Kind)
	switch f.Kind {
	case "":
		effect().send(w)
	case TimeoutBefore:
		s.hang(r)
	case TimeoutAfter:
		effect()
		s.hang(r)
	case ResetBefore:
		reset(w)
	case ResetAfter:
		effect()
		reset(w)
	case ErrorBefore:
		gatewayError().send(w)
	case ErrorAfter:
		effect()
		gatewayError().send(w)
	case Busy:
		o.refuse(r, o.busy).send(w)
	case BusyAfter:
		effect()
		o.refuse(r, o.busy).send(w)
	case BadSignature:
		if answer := effect(); o.spoil != nil {
			o.spoil(answer).send(w)
		} else {
			answer.send(w)
		}
	case RateLimit:
		o.refuse(r, o.limit).send(w)
	case Code:
		o.refuse(r, f.Code).send(w)
	case Garbage:
		reply{status: http.StatusOK, body: []byte(`{"errcode": "<html>`)}.send(w)
	case Huge:
		s.flood(w)
	default: // Tamper is the operation's own affair
		effect().send(w)
	}
}

func gatewayError() reply {
	return reply{status: http.StatusBadGateway, header: http.Header{"Content-Type": {"text/html"}}, body: []byte("<html>502 Bad Gateway</html>")}
}

// hang answers nothing until the client gives up.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.stop:
	case <-time.After(time.Minute):
	}
	panic(http.ErrAbortHandler)
}

// reset breaks the connection without an answer.
func reset(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// flood sends more than any client should take.
func (s *Server) flood(w http.ResponseWriter) {
	piece := make([]byte, 64<<10)
	for n := range piece {
		piece[n] = ' '
	}
	for range 64 {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}
