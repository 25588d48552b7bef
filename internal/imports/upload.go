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
	Options    options

	fileName string
	size     int64
	hash     []byte
	seen     sniffer
}

// reading is how a file must be read again.
type reading struct {
	Format    string `json:"format,omitempty"` // of files without columns
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
	if part := up.unfit(); part != "" {
		return nil, nil, ErrField.At("/" + part)
	}
	if err := mayDo(ctx, up.Kind, up.Duplicates, up.Options); err != nil {
		return nil, nil, err
	}
	as, err := s.layout(ctx, up.Kind)
	if err != nil {
		return nil, nil, err
	}
	read, columns, err := s.inspect(id, up, as)
	if err != nil {
		return nil, nil, err
	}
	mapping, certain := suggested(columns)
	switch {
	case read.Format != "":
		if up.Mapping != nil {
			return nil, nil, ErrField.At("/mapping")
		}
	case up.Mapping != nil:
		if mapping, err = resolveMapping(up.Mapping, columns, as); err != nil {
			return nil, nil, err
		}
		if err := as.complete(mapping); err != nil {
			return nil, nil, err
		}
	case up.DryRun:
	case !certain:
		return nil, nil, ErrMappingNeeds.At("/mapping")
	default:
		if err := as.complete(mapping); err != nil {
			return nil, nil, err
		}
	}
	row, job, err := s.begin(ctx, id, up, read, columns, mapping)
	if err != nil {
		return nil, nil, err
	}
	kept = true
	return &Run{ImportRun: row, Columns: columns, Reading: read, Status: statusOf(row.DryRun, string(job.Status))}, job, nil
}

// mayDo: each kind needs the permission of what it makes, and some of what can be
// asked for needs its own. Error: auth.forbidden.
func mayDo(ctx context.Context, kind, duplicates string, o options) error {
	var all []auth.Permission
	if kind != kindCustomers { // of whose permission the edge has made sure
		all = append(all, needed(kind))
	} else if duplicates == updateDuplicates {
		all = append(all, auth.CustomersUpdate)
	}
	if o.CreateMissing {
		all = append(all, auth.CatalogManage)
	}
	return may(auth.Must(ctx), all...)
}

// layout is what columns of a kind can be for the caller.
func (s *Service) layout(ctx context.Context, kind string) (*layout, error) {
	l := layoutOf[kind]
	if kind != kindCustomers {
		return &l, nil
	}
	all, err := s.Customers.FileFields(ctx)
	l.custom = slices.DeleteFunc(all, func(f customers.FileField) bool { return !f.Editable })
	return &l, err
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
func (s *Service) inspect(id uuid.UUID, up *Upload, as *layout) (reading, []Column, error) {
	read := reading{Sheet: up.Sheet}
	switch {
	case up.size == 0:
		return read, nil, ErrEmpty.At("/file")
	case up.seen.zipped():
	case up.seen.foreign():
		return read, nil, ErrFormat.At("/file")
	case up.Kind == kindOrders && up.seen.begins('{'):
		read.Format, read.Columns = string(formatJSONL), 1
		if up.seen.lines > maxRows {
			e := ErrRows.At("/file")
			return read, nil, e.Arg("max", maxRows)
		}
		return read, []Column{{Number: 1, Header: "order", Field: wholeRecord, Samples: []string{}}}, nil
	case up.Kind == kindProducts && up.seen.begins('<'):
		read.Format, read.Columns = string(formatONIX), 1
		return read, []Column{{Number: 1, Header: "record_reference", Field: wholeRecord, Samples: []string{}}}, s.tryONIX(id, &read)
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
	return read, suggest(header, first, as), nil
}

// tryONIX reads the beginning of a message, so that what is none is refused at
// once.
func (s *Service) tryONIX(id uuid.UUID, read *reading) error {
	source, closeFile, err := s.openRows(id, read)
	if err != nil {
		return err
	}
	defer closeFile()
	if _, err := source.next(); errors.Is(err, io.EOF) {
		return ErrEmpty.At("/file")
	} else if err != nil {
		return err
	}
	return nil
}

// openRows begins to read a stored file. The sheet's name is completed.
func (s *Service) openRows(id uuid.UUID, read *reading) (rows, func(), error) {
	f, err := s.Files.Open(importFile(id))
	if err != nil {
		return nil, nil, err
	}
	switch {
	case read.Format == string(formatJSONL):
		return newJSONRows(f), func() { _ = f.Close() }, nil
	case read.Format == string(formatONIX):
		return &onixRows{in: s.Catalog.ReadONIX(f)}, func() { _ = f.Close() }, nil
	case read.Encoding != "":
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

// Formats of files.
const (
	formatCSV   = importrun.FormatCsv
	formatXLSX  = importrun.FormatXlsx
	formatJSONL = importrun.FormatJsonl
	formatONIX  = importrun.FormatOnix

	wholeRecord = "record" // the field of the only column that files without columns have
)

func (u *Upload) format(read *reading) importrun.Format {
	switch {
	case read.Format != "":
		return importrun.Format(read.Format)
	case u.seen.zipped():
		return formatXLSX
	}
	return formatCSV
}

// optionsOf are the options of a run.
func optionsOf(r *crm.ImportRun) (o options) {
	_ = json.Unmarshal(r.Options, &o) // written by begin
	return o
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
	asked, err := json.Marshal(up.Options)
	if err != nil {
		return nil, nil, err
	}
	total := max(0, up.seen.lines-read.Header)
	if read.Format == string(formatONIX) {
		total = 0 // lines say nothing of records
	}
	now := s.Clock.Now()
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if !up.DryRun && !up.Repeat && up.Kind == kindCustomers { // orders are known by their numbers
			if err := s.refuseRepeated(ctx, tx, id, up.hash); err != nil {
				return err
			}
		}
		if job, err = s.Queue.StartVisible(ctx, tx, jobImport, jobParameters{ID: id}); err != nil {
			return err
		}
		row, err = tx.CRM.ImportRun.Create().SetID(id).SetKind(up.Kind).SetFileName(up.fileName).SetFormat(up.format(&read)).SetSizeBytes(up.size).
			SetSha256(up.hash).SetReading(readAs).SetColumnsSealed(s.Keys.SealBlob(columnsPurpose, id[:], shown)).SetMapping(mapped).
			SetDuplicates(importrun.Duplicates(up.Duplicates)).SetOptions(asked).SetDryRun(up.DryRun).SetJobID(job.ID).SetPosition(read.Header).
			SetTotalRows(total).SetRequestedBy(auth.Must(ctx).Principal()).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return fmt.Errorf("write an import: %w", err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "imports.create", ObjectType: "import", ObjectID: id.String(),
			Changes: map[string]any{"kind": up.Kind, "format": up.format(&read), "dry_run": up.DryRun, "duplicates": up.Duplicates, "options": up.Options, "size_bytes": up.size}})
		return nil
	})
	return row, job, err
}
