package identity

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/mail"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

const (
	resetLife    = 30 * time.Minute
	resetPrefix  = "shp_"
	resetsHour   = 3 // links a person gets in an hour
	resetKeep    = 24 * time.Hour
	emailPurpose = "identity.staff-email"
	mailLimit    = 30 * time.Second
	mailsAtOnce  = 8
)

// staffEmail reads an address; nil is none.
// Error: staff.email_invalid.
func staffEmail(given *string) (string, error) {
	if given == nil {
		return "", nil
	}
	e, err := pii.NormalizeEmail(*given)
	if err != nil {
		return "", ErrEmailInvalid.At("/email")
	}
	return e.Address, nil
}

// sealEmail is nil for no address.
func (s *Service) sealEmail(staffID uuid.UUID, address string) []byte {
	if address == "" {
		return nil
	}
	return s.Keys.SealBlob(emailPurpose, staffID[:], []byte(address))
}

// emailOf is an account's address, or empty.
func (s *Service) emailOf(account *platform.Staff) (string, error) {
	if len(account.EmailSealed) == 0 {
		return "", nil
	}
	address, err := s.Keys.OpenBlob(emailPurpose, account.ID[:], account.EmailSealed)
	return string(address), err
}

// maskedEmail is what answers show: the address is where links to a new
// password go, and nobody needs to read it there.
func (s *Service) maskedEmail(account *platform.Staff) string {
	address, err := s.emailOf(account)
	if err != nil || address == "" {
		return ""
	}
	return pii.MaskEmail(address)
}

// RequestReset sends a link to a new password, if there is such an account and
// it has an address. Nothing of that is done before the caller is answered, so
// that neither the answer nor its time tells.
// Error: mail.not_configured.
func (s *Service) RequestReset(ctx context.Context, username string) error {
	sender, err := s.Outside.NeedMail()
	if err != nil {
		return err
	}
	username = normalUsername(username)
	s.afterwards("a link to a new password was not sent", func(ctx context.Context) error {
		account, err := s.DB.Platform.Staff.Query().Where(staff.Username(username), staff.StatusEQ(staff.StatusActive)).Only(ctx)
		if platform.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		address, err := s.emailOf(account)
		if err != nil || address == "" {
			return err
		}
		text, err := s.newReset(ctx, account)
		if err != nil || text == "" {
			return err
		}
		return sender.Send(ctx, s.resetMail(address, text))
	})
	return nil
}

// afterwards does something when the request is over, a few at a time. What
// does not fit is dropped: whoever waits for a mail asks again.
func (s *Service) afterwards(what string, do func(context.Context) error) {
	select {
	case s.mails <- struct{}{}:
	default:
		s.Log.Warn(what, "error", "too many at once")
		return
	}
	s.notes.Go(func() {
		defer func() { <-s.mails }()
		ctx, cancel := context.WithTimeout(auth.System(context.Background(), "mail"), mailLimit)
		defer cancel()
		if err := do(ctx); err != nil {
			s.Log.Warn(what, "error", err)
		}
	})
}

// newReset makes a link, or nothing if there were too many.
func (s *Service) newReset(ctx context.Context, account *platform.Staff) (text string, err error) {
	var raw [32]byte
	rand.Read(raw[:]) // never fails
	text = resetPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err := s.writeReset(ctx, tx, id, account.ID, token.Hash(text))
		if err != nil {
			return err
		}
		if !made {
			text = ""
			return nil
		}
		audit.Record(ctx, tx, audit.Entry{Action: "auth.password_reset_send", ObjectType: "staff", ObjectID: account.ID.String(), StoreID: account.StoreID})
		return nil
	})
	return text, err
}

func (s *Service) resetMail(to, text string) mail.Message {
	link := text
	if s.PasswordResetURL != "" {
		link = s.PasswordResetURL + "#token=" + text // a fragment reaches no server's log
	}
	minutes := int(resetLife.Minutes())
	return mail.Message{To: to, Subject: "重置密码 / Reset your password", Text: fmt.Sprintf(
		"您（或他人）申请重置密码。请在 %d 分钟内使用以下链接，仅可使用一次：\n\n%s\n\n如非本人操作，请忽略此邮件，密码不会改变。\n\n"+
			"You or somebody else asked for a new password. This link is good once, for %d minutes:\n\n%s\n\nIf it was not you, ignore this mail: nothing changes.\n",
		minutes, link, minutes, link)}
}

// ConfirmReset sets a new password by the token of a link and ends all
// sessions. The token is spent only when the password is accepted.
// Errors: auth.reset_invalid, password.*.
func (s *Service) ConfirmReset(ctx context.Context, text, next string) error {
	ctx = auth.System(ctx, "password-reset") // the token is the credential
	hash := token.Hash(text)
	id, err := s.findReset(ctx, hash)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrResetInvalid.At("/token")
	}
	if err != nil {
		return fmt.Errorf("find a link: %w", err)
	}
	account, err := s.DB.From(ctx).Platform.Staff.Get(ctx, id)
	if err != nil {
		return err
	}
	if account.Status != staff.StatusActive {
		return ErrResetInvalid.At("/token")
	}
	better, err := hashNew(ctx, next, account.Username, "/password")
	if err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		owner, err := tx.Platform.Staff.Query().Where(staff.ID(id), staff.StatusEQ(staff.StatusActive)).ForUpdate().Only(ctx)
		if platform.IsNotFound(err) {
			return ErrResetInvalid.At("/token")
		}
		if err != nil {
			return err
		}
		spent, err := s.spendReset(ctx, tx, hash)
		if err != nil {
			return err
		}
		if !spent {
			return ErrResetInvalid.At("/token")
		}
		if err := s.voidResets(ctx, tx, id); err != nil {
			return err
		}
		err = tx.Platform.Staff.UpdateOne(owner).SetPasswordHash(better).SetMustChangePassword(false).AddVersion(1).SetUpdatedAt(s.Clock.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		happened(ctx, tx, eventStaffUpdated, audit.Entry{Action: "staff.change_password", ObjectType: "staff", StoreID: owner.StoreID, Reason: "password reset by mail",
			Changes: map[string]any{"fields": []string{"password"}}}, id, map[string]any{"fields": []string{"password"}})
		if s.PasswordChanged != nil {
			tx.AfterCommit(func(ctx context.Context) { s.PasswordChanged(ctx, owner.Username) })
		}
		return s.end(ctx, tx, owner, nil, uuid.Nil, "password_reset")
	})
	return err
}

// warnOfSignIn writes to somebody who was signed in where they never were.
func (s *Service) warnOfSignIn(account *platform.Staff, client Client, at time.Time) {
	if s.Outside.Mail == nil || len(account.EmailSealed) == 0 {
		return
	}
	s.afterwards("a warning of a sign-in was not sent", func(ctx context.Context) error {
		address, err := s.emailOf(account)
		if err != nil {
			return err
		}
		when := at.In(s.Clock.Location()).Format("2006-01-02 15:04 MST")
		device, where := deviceLabel(client.UserAgent), s.where(client.IP)
		return s.Outside.Mail.Send(ctx, mail.Message{To: address, Subject: "新设备登录 / Sign-in from a new device", Text: fmt.Sprintf(
			"您的账号 %s 于 %s 在新的设备或网络登录：%s，%s。如非本人操作，请立即修改密码并结束该会话。\n\n"+
				"Your account %s was signed in to at %s from a new device or network: %s, %s. If it was not you, change your password at once and end that session.\n",
			account.Username, when, device, where, account.Username, when, device, where)})
	})
}
