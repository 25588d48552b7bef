package operations

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
)

const (
	// followEvery is how often a followed job is looked at: one read by primary key.
	followEvery = 300 * time.Millisecond
	// heartbeatEvery keeps proxies from closing a connection on which nothing happens.
	heartbeatEvery = 15 * time.Second
)

// follower reads as a stream of server-sent events: the job at once, then
// after every change, and ends after its final state. It works in the reader's
// goroutine, so nothing is left running when the client goes away.
type follower struct {
	ctx     context.Context
	service *Service
	id      uuid.UUID
	next    *platform.Job // to be sent first; nil when the client has it
	last    int64         // version sent
	encode  func(*platform.Job) any
	buf     bytes.Buffer
	done    bool
}

// Read implements io.Reader: it blocks until there is something to send.
func (f *follower) Read(p []byte) (int, error) {
	for f.buf.Len() == 0 {
		if f.done {
			return 0, io.EOF
		}
		if err := f.fill(); err != nil {
			return 0, err
		}
	}
	return f.buf.Read(p)
}

func (f *follower) fill() error {
	if f.next != nil {
		f.send(f.next)
		f.next = nil
		return nil
	}
	look := time.NewTicker(followEvery)
	defer look.Stop()
	heartbeat := time.NewTimer(heartbeatEvery)
	defer heartbeat.Stop()
	for {
		select {
		case <-f.ctx.Done():
			f.done = true
			return nil
		case <-heartbeat.C:
			f.buf.WriteString(": still here\n\n")
			return nil
		case <-look.C:
		}
		job, err := f.service.Job(f.ctx, f.id)
		if err != nil {
			if f.ctx.Err() != nil {
				f.done = true
				return nil
			}
			return err
		}
		if job.Version != f.last {
			f.send(job)
			return nil
		}
		if finished(job) {
			f.done = true
			return nil
		}
	}
}

func (f *follower) send(job *platform.Job) {
	f.last, f.done = job.Version, finished(job)
	data, err := json.Marshal(f.encode(job))
	if err != nil {
		f.service.log.Error("encode a job", "job_id", job.ID, "error", err)
		f.done = true
		return
	}
	writeEvent(&f.buf, job.Version, "job", data)
}
