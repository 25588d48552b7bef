package timeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// KeptPicture is a picture that another domain has rows of: looked at, stripped
// and stored as attachments are, but under no customer's key.
type KeptPicture struct {
	ID            uuid.UUID
	Hash          string // SHA-256 of the contents, in hexadecimal
	ContentType   string
	Size          int64
	Width, Height int
}

// pictureTypes are the formats of pictures that are shown to everybody.
var pictureTypes = []string{"image/jpeg", "image/png", "image/webp"}

func pictureObjects(id uuid.UUID) []string {
	return []string{"pictures/" + id.String(), "picture_thumbnails/" + id.String()}
}

// MaxPicture is how many bytes a picture has at most.
func (s *Service) MaxPicture() int64 { return s.Limits.Bytes }

// StorePicture looks at a picture and stores it. It goes again unless KeepPicture
// follows within the hour.
// Errors: ErrFileEmpty, ErrFileSize, ErrPictureType, ErrPicturePixels,
// ErrPictureBroken, ErrStorage.
func (s *Service) StorePicture(ctx context.Context, content []byte) (*KeptPicture, error) {
	if int64(len(content)) > s.Limits.Bytes {
		e := ErrFileSize.At("/file")
		return nil, e.Arg("max", s.Limits.Bytes)
	}
	f, err := s.inspect(ctx, content)
	if ErrFileType.Is(err) {
		return nil, ErrPictureType.At("/file")
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(pictureTypes, f.contentType) {
		return nil, ErrPictureType.At("/file")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	objects := pictureObjects(id)
	if err := s.plan(ctx, objects, s.Clock.Now().Add(uploadTime)); err != nil {
		return nil, err
	}
	for i, part := range [][]byte{f.content, f.thumbnail} {
		if err := s.storePart(objects[i], part); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(f.content)
	return &KeptPicture{ID: id, Hash: hex.EncodeToString(sum[:]), ContentType: f.contentType, Size: int64(len(f.content)), Width: *f.width, Height: *f.height}, nil
}

func (s *Service) storePart(name string, content []byte) error {
	w, err := s.Files.Create(name)
	if err != nil {
		return ErrStorage.Wrap(err)
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return ErrStorage.Wrap(err)
	}
	return nil
}

// KeepPicture keeps a stored picture, with the row that names it.
// Error: ErrUploadSlow.
func (s *Service) KeepPicture(ctx context.Context, tx *db.Tx, p *KeptPicture) error {
	return keep(ctx, tx, pictureObjects(p.ID))
}

// DropPicture removes a stored picture that is not kept.
func (s *Service) DropPicture(ctx context.Context, p *KeptPicture) {
	s.removeSoon(ctx, pictureObjects(p.ID))
}

// RemovePicture removes a picture with the row that named it, after the commit.
func (s *Service) RemovePicture(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	objects := pictureObjects(id)
	if err := planIn(ctx, tx, objects, s.Clock.Now()); err != nil {
		return err
	}
	tx.AfterCommit(func(ctx context.Context) { s.removeNow(ctx, objects) })
	return nil
}

// OpenPicture reads a picture or its thumbnail. Error: ErrStorage.
func (s *Service) OpenPicture(id uuid.UUID, thumbnail bool) (*blob.Reader, error) {
	name := pictureObjects(id)[0]
	if thumbnail {
		name = pictureObjects(id)[1]
	}
	f, err := s.Files.Open(name)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) {
		return nil, fmt.Errorf("picture %s: %w", id, err) // a row without its file is our fault
	}
	if err != nil {
		return nil, ErrStorage.Wrap(err)
	}
	return f, nil
}
