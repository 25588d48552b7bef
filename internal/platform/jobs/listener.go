package jobs

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"

	"github.com/lib/pq"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

// driver gives River's database/sql driver what it lacks: waiting for
// notifications, so that a job inserted anywhere starts at once.
type driver struct {
	*riverdatabasesql.Driver
	url    string
	schema string // in which River's tables lie: part of the channels' names
}

var _ riverdriver.Driver[*sql.Tx] = (*driver)(nil)

// SupportsListener implements riverdriver.Driver.
func (d *driver) SupportsListener() bool { return d.url != "" }

// GetListener implements riverdriver.Driver.
func (d *driver) GetListener(*riverdriver.GetListenenerParams) riverdriver.Listener {
	return &listener{url: d.url, schema: d.schema}
}

// listener is one connection that waits. River reconnects when an error shows
// that it broke.
type listener struct {
	url, schema string

	mu   sync.Mutex
	conn *pq.ListenerConn
	ch   chan *pq.Notification
}

var errListenerClosed = errors.New("jobs: the listening connection is closed")

// Connect implements riverdriver.Listener.
func (l *listener) Connect(context.Context) error {
	// Buffered, because lib/pq stops reading, also answers, while nobody takes
	// what was announced.
	ch := make(chan *pq.Notification, 1024)
	conn, err := pq.NewListenerConn(l.url, ch)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.ch = conn, ch
	return nil
}

// Close implements riverdriver.Listener.
func (l *listener) Close(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn, l.ch = nil, nil
	return err
}

func (l *listener) current() (*pq.ListenerConn, chan *pq.Notification, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil, nil, errListenerClosed
	}
	return l.conn, l.ch, nil
}

// name is the channel's as River's statements make it.
func (l *listener) name(topic string) string { return l.schema + "." + topic }

// Listen implements riverdriver.Listener.
func (l *listener) Listen(_ context.Context, topic string) error {
	conn, _, err := l.current()
	if err != nil {
		return err
	}
	_, err = conn.Listen(l.name(topic))
	return err
}

// Unlisten implements riverdriver.Listener.
func (l *listener) Unlisten(_ context.Context, topic string) error {
	conn, _, err := l.current()
	if err != nil {
		return err
	}
	_, err = conn.Unlisten(l.name(topic))
	return err
}

// Ping implements riverdriver.Listener.
func (l *listener) Ping(context.Context) error {
	conn, _, err := l.current()
	if err != nil {
		return err
	}
	return conn.Ping()
}

// Schema implements riverdriver.Listener.
func (l *listener) Schema() string { return l.schema }

// SetAfterConnectExec implements riverdriver.Listener; only River's own tests use it.
func (l *listener) SetAfterConnectExec(string) {}

// WaitForNotification implements riverdriver.Listener.
func (l *listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	_, ch, err := l.current()
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case n, open := <-ch:
		if !open {
			return nil, errListenerClosed
		}
		return &riverdriver.Notification{Topic: strings.TrimPrefix(n.Channel, l.schema+"."), Payload: n.Extra}, nil
	}
}
