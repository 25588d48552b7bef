package imports

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// What rows do whose customer exists.
const (
	skipDuplicates   = "skip"
	updateDuplicates = "update"
	reviewDuplicates = "review"
)

// Upload is what came with a file.
type Upload struct {
	Kind       string
	Mapping    []MappingEntry // nil to take the suggested one
	DryRun     bool
	Duplicates string
	Encoding   string
	Delimiter  string // one character, or empty for auto
	Sheet      string
	Repeat     bool // take over a file that was taken over before

	fileName string
	size     int64
	hash     []byte
	seen     sniffer
}

// reading is how a file must be read again.
type reading struct {
	Encoding  string `json:"encoding,omitempty"`
	Delimiter string `json:"delimiter,omitempty"`
	Sheet     string `json:"sheet,omitempty"`
	Header    int64  `json:"header"` // number of the header row
	Columns   int    `json:"columns"`
	Mac       bool   `json:"date1904,omitempty"` // a workbook whose days count from 1904
}

// maxPart bounds the parts of an upload that are no file.
const maxPart = 256 << 10

// Import takes an upload: seals the file, looks at it, starts the job that
// tries it or takes it over.
// Errors: those of the file and the mapping; auth.forbidden for updating
// without the permission; request.too_large.
func (s *Service) Import(ctx context.Context, parts *multipart.Reader, parse func(name, value string, to *Upload) error) (*Run, *platform.Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, err
	}
	up := &Upload{Kind: kindCustomers, Duplicates: skipDuplicates, Encoding: encodingAuto}
	kept := false
	defer func() {
		if !kept {
			_ = s.Files.Delete(importFile(id))
		}
	}()
	if err := s.receive(parts, id, up, parse); err != nil {
		return nil, nil, err
	}
	if err := mayDo(ctx, up.Duplicates); err != nil {
		return nil, nil, err
	}
	defined, err := s.customFields(ctx)
	if err != nil {
		return nil, nil, err
	}
	read, columns, err := s.inspect(id, up, defined)
	if err != nil {
		return nil, nil, err
	}
	mapping, certain := suggested(columns)
	if up.Mapping != nil {
		if mapping, err = resolveMapping(up.Mapping, columns, defined); err != nil {
			return nil, nil, err
		}
	} else if !certain && !up.DryRun {
		return nil, nil, ErrMappingNeeds.At("/mapping")
	}
	row, job, err := s.begin(ctx, id, up, read, columns, mapping)
	if err != nil {
		return nil, nil, err
	}
	kept = true
	return &Run{ImportRun: row, Columns: columns, Reading: read, Status: statusOf(row.DryRun, string(job.Status))}, job, nil
}

// mayDo: changing those who exist needs its own permission.
func mayDo(ctx context.Context, duplicates string) error {
	if actor := auth.Must(ctx); duplicates == updateDuplicates && !actor.Can(auth.CustomersUpdate) {
		return apperr.ErrForbidden.New().Arg("permission", auth.CustomersUpdate)
	}
	return nil
}

func importFile(id uuid.UUID) string { return "imports/" + id.String() }

// receive reads the parts of an upload; the file goes straight into the store.
func (s *Service) receive(parts *multipart.Reader, id uuid.UUID, up *Upload, parse func(name, value string, to *Upload) error) error {
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return unreadable(err)
		}
		if part.FormName() == "file" {
			if up.hash != nil {
				return ErrFile.At("/file")
			}
			if err := s.store(part, id, up); err != nil {
				return err
			}
			continue
		}
		text, err := io.ReadAll(io.LimitReader(part, maxPart+1))
		if err != nil {
			return unreadable(err)
		}
		if len(text) > maxPart || !utf8.Valid(text) {
			return ErrField.At("/" + part.FormName())
		}
		if err := parse(part.FormName(), string(text), up); err != nil {
			return err
		}
	}
	if up.hash == nil {
		return ErrFile.At("/file")
	}
	return nil
}

// unreadable tells an upload that is too large from one that broke off.
func unreadable(err error) error {
	if e := apperr.From(err); e != nil {
		return e
	}
	if e := tooLarge(err); e != nil {
		return e
	}
	return apperr.ErrMalformed.Wrap(err)
}

func (s *Service) store(part *multipart.Part, id uuid.UUID, up *Upload) error {
	w, err := s.Files.Create(importFile(id))
	if err != nil {
		return err
	}
	defer w.Abort()
	hash := sha256.New()
	from := &watched{r: part}
	if _, err := io.CopyBuffer(io.MultiWriter(w, hash, &up.seen), from, make([]byte, 128<<10)); err != nil {
		if from.err != nil {
			return unreadable(from.err)
		}
		return err
	}
	up.fileName, up.size, up.hash = fileName(part.FileName()), w.Size(), hash.Sum(nil)
	return w.Commit()
}

// watched remembers whether it was the reading that failed.
type watched struct {
	r   io.Reader
	err error
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// fileName is what people see again; multipart has taken off any path.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if name = clip(strings.TrimSpace(name), 200); name == "" {
		return "upload"
	}
	return name
}

// firstRows is how much of a file suggestions are made from.
const firstRows = 200

// inspect finds out how to read a file and what its columns may be.
func (s *Service) inspect(id uuid.UUID, up *Upload, defined customFields) (reading, []Column, error) {
	read := reading{Sheet: up.Sheet}
	switch {
	case up.size == 0:
		return read, nil, ErrEmpty.At("/file")
	case up.seen.zipped():
	case up.seen.foreign():
		return read, nil, ErrFormat.At("/file")
	default:
		if read.Encoding = up.Encoding; read.Encoding == encodingAuto {
			if read.Encoding = up.seen.encoding(); read.Encoding == "" {
				return read, nil, ErrEncoding.At("/file")
			}
		}
		if up.seen.lines > maxRows+firstRows { // blank lines above the header allowed for
			e := ErrRows.At("/file")
			return read, nil, e.Arg("max", maxRows)
		}
		if read.Delimiter = up.Delimiter; read.Delimiter == "" {
			head, err := io.ReadAll(decoded(strings.NewReader(string(up.seen.head)), read.Encoding))
			if err != nil {
				return read, nil, ErrEncoding.Wrap(err)
			}
			read.Delimiter = string(delimiter(head))
		}
	}
	source, closeFile, err := s.openRows(id, &read)
	if err != nil {
		return read, nil, err
	}
	defer closeFile()
	var header []string
	var first [][]string
	for len(first) < firstRows {
		r, err := source.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return read, nil, err
		}
		if r.empty() {
			continue
		}
		if header == nil {
			header = append([]string{}, r.cells...)
			for len(header) > 0 && strings.TrimSpace(header[len(header)-1]) == "" {
				header = header[:len(header)-1]
			}
			read.Header, read.Columns = r.number, len(header)
			continue
		}
		first = append(first, append([]string{}, r.cells...))
	}
	if len(header) == 0 || len(first) == 0 {
		return read, nil, ErrEmpty.At("/file")
	}
	return read, suggest(header, first, defined), nil
}

// customFields are those that the caller may fill.
func (s *Service) customFields(ctx context.Context) (customFields, error) {
	all, err := s.Customers.FileFields(ctx)
	return slices.DeleteFunc(all, func(f customers.FileField) bool { return !f.Editable }), err
}

// openRows begins to read a stored file. The sheet's name is completed.
func (s *Service) openRows(id uuid.UUID, read *reading) (rows, func(), error) {
	f, err := s.Files.Open(importFile(id))
	if err != nil {
		return nil, nil, err
	}
	if read.Encoding != "" {
		return newCSVRows(f, read.Encoding, read.Delimiter[0]), func() { _ = f.Close() }, nil
	}
	book, err := openWorkbook(f, f.Size())
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	sheet, err := book.sheet(read.Sheet)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	read.Sheet, read.Mac = sheet.name, book.mac
	r, err := book.rows(sheet)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return r, func() { r.close(); _ = f.Close() }, nil
}

func (u *Upload) format() importrun.Format {
	if u.seen.zipped() {
		return importrun.FormatXlsx
	}
	return importrun.FormatCsv
}

// begin writes the run and starts its job.
func (s *Service) begin(ctx context.Context, id uuid.UUID, up *Upload, read reading, columns []Column, m Mapping) (row *crm.ImportRun, job *platform.Job, err error) {
	readAs, err := json.Marshal(read)
	if err != nil {
		return nil, nil, err
	}
	shown, err := json.Marshal(columns)
	if err != nil {
		return nil, nil, err
	}
	mapped, err := json.Marshal(m)
	if err != nil {
		return nil, nil, err
	}
	now := s.Clock.Now()
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if !up.DryRun && !up.Repeat {
			if err := s.refuseRepeated(ctx, tx, id, up.hash); err != nil {
				return err
			}
		}
		if job, err = s.Queue.StartVisible(ctx, tx, jobImport, jobParameters{ID: id}); err != nil {
			return err
		}
		row, err = tx.CRM.ImportRun.Create().SetID(id).SetKind(up.Kind).SetFileName(up.fileName).SetFormat(up.format()).SetSizeBytes(up.size).
			SetSha256(up.hash).SetReading(readAs).SetColumnsSealed(s.Keys.SealBlob(columnsPurpose, id[:], shown)).SetMapping(mapped).
			SetDuplicates(importrun.Duplicates(up.Duplicates)).SetDryRun(up.DryRun).SetJobID(job.ID).SetPosition(read.Header).
			SetTotalRows(max(0, up.seen.lines-read.Header)).SetRequestedBy(auth.Must(ctx).Principal()).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return fmt.Errorf("write an import: %w", err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "imports.create", ObjectType: "import", ObjectID: id.String(),
			Changes: map[string]any{"kind": up.Kind, "format": up.format(), "dry_run": up.DryRun, "duplicates": up.Duplicates, "size_bytes": up.size}})
		return nil
	})
	return row, job, err
}
