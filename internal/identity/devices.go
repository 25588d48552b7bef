package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/mileusna/useragent"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// A device token is "shd_" and base64url of a random id and a MAC. It names a
// program on a device and opens nothing: an account knows the devices that it
// has signed in on, and failures elsewhere do not put those off.
const (
	devicePrefix = "shd_"
	deviceMAC    = 16
	deviceDomain = "identity.device"
)

func deviceToken(keys *crypto.Keyring, id uuid.UUID) string {
	return devicePrefix + base64.RawURLEncoding.EncodeToString(append(id[:], deviceTag(keys, id)...))
}

func deviceTag(keys *crypto.Keyring, id uuid.UUID) []byte {
	key := keys.Derive(deviceDomain)
	m := hmac.New(sha256.New, key[:])
	m.Write(id[:])
	return m.Sum(nil)[:deviceMAC]
}

// parseDevice reads a device token of ours; the zero id stands for any other.
func parseDevice(keys *crypto.Keyring, text string) uuid.UUID {
	body, found := strings.CutPrefix(text, devicePrefix)
	if !found {
		return uuid.Nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) != 16+deviceMAC {
		return uuid.Nil
	}
	id := uuid.UUID(raw[:16])
	if !hmac.Equal(raw[16:], deviceTag(keys, id)) {
		return uuid.Nil
	}
	return id
}

// device is the caller's, as far as its token tells and the account knows it.
// The look-up is made for unknown accounts too: it must not tell them apart.
func (s *Service) device(ctx context.Context, staffID uuid.UUID) (id uuid.UUID, known bool, err error) {
	id = parseDevice(s.Keys, clientOf(ctx).Device)
	if id != uuid.Nil {
		known, err = s.knowsDevice(ctx, staffID, id)
	}
	return id, known, err
}

// deviceLabel says what a program calls itself in a few words: Chrome on
// Windows.
func deviceLabel(userAgent string) string {
	if userAgent == "" {
		return ""
	}
	if strings.Contains(userAgent, "MicroMessenger") { // WeChat's own browser and its mini-programs
		return on("WeChat", useragent.Parse(userAgent).OS)
	}
	ua := useragent.Parse(userAgent)
	name := ua.Name
	if name == "" || strings.ContainsAny(name, "/;()") {
		name, _, _ = strings.Cut(userAgent, "/")
	}
	return storable(on(name, ua.OS), 80)
}

func on(program, system string) string {
	if system == "" {
		return program
	}
	return program + " on " + system
}

// place is the network an address belongs to: who is given another address
// tomorrow mostly stays in it.
func place(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	bits := 24
	if a = a.Unmap().WithZone(""); a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// where is the place of an address for people to read: the city if it is known,
// and the network.
func (s *Service) where(ip string) string {
	network := place(ip)
	if name := s.Places.Name(ip); name != "" {
		return name + " (" + network + ")"
	}
	return network
}

// trace is what an earlier session tells of where somebody signs in.
type trace struct {
	device    uuid.UUID
	userAgent string
	ip        string
}

// unfamiliar says what is new about a sign-in compared with earlier ones, as
// "device" and "place". The first sign-in of an account is compared with
// nothing. A program that keeps no device token goes by its name.
func unfamiliar(earlier []trace, now trace) (what []string) {
	if len(earlier) == 0 {
		return nil
	}
	if !slices.ContainsFunc(earlier, func(t trace) bool {
		return t.device == now.device || deviceLabel(t.userAgent) == deviceLabel(now.userAgent) && place(t.ip) == place(now.ip)
	}) {
		what = append(what, "device")
	}
	if !slices.ContainsFunc(earlier, func(t trace) bool { return place(t.ip) == place(now.ip) }) {
		what = append(what, "place")
	}
	return what
}
