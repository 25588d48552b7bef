package wechatpay

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/pay"
)

const (
	publicKeyPrefix = "PUB_KEY_ID_"
	probePrefix     = "WECHATPAY/SIGNTEST/"
	maxSkew         = 300 * time.Second
	nonceLength     = 12
	maxAAD          = 16
	// certificatesFresh is how long a list of certificates is not asked for
	// again: well within the day or more for which old and new ones overlap.
	certificatesFresh = 12 * time.Hour
	// certificatesPause keeps callbacks with made-up serials from becoming
	// requests to WeChat.
	certificatesPause = time.Minute
)

// platformKeys are the platform's certificates by serial.
type platformKeys struct {
	asking sync.Mutex // held while the list is asked for; before mu
	mu     sync.Mutex
	list   []certificate
	asked  time.Time // when the list was last asked for, whatever came of it
	loaded time.Time
}

type certificate struct {
	serial      string
	key         *rsa.PublicKey
	from, until time.Time
}

// verifiable names the platform key that answers shall be signed with.
func (c *Client) verifiable() string {
	if c.config.PublicKeyID != "" {
		return c.config.PublicKeyID
	}
	c.keys.mu.Lock()
	defer c.keys.mu.Unlock()
	newest, now := certificate{}, c.clock.Now()
	for _, one := range c.keys.list {
		if now.Before(one.until) && !now.Before(one.from) && one.from.After(newest.from) {
			newest = one
		}
	}
	return newest.serial
}

var (
	errHeaders = errors.New("a signature header is missing or malformed")
	errProbe   = errors.New("a probe's signature")
	errSkew    = errors.New("the time is off by 300 seconds or more")
	errSerial  = errors.New("no valid platform key has this serial")
)

// verify checks that the platform signed exactly these bytes lately.
// Errors: those above and a wrong signature; a failure to fetch certificates.
func (c *Client) verify(ctx context.Context, h http.Header, body []byte) error {
	serial, message, err := c.signed(h, body)
	if err != nil {
		return err
	}
	key, err := c.platformKey(ctx, serial)
	if err != nil {
		return err
	}
	return pay.Verify(key, message, h.Get("Wechatpay-Signature"))
}

// signed is what must be under the signature, and whose it should be.
func (c *Client) signed(h http.Header, body []byte) (serial string, message []byte, err error) {
	at, nonce, signature, serial := h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), h.Get("Wechatpay-Signature"), h.Get("Wechatpay-Serial")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || nonce == "" || signature == "" || serial == "" || len(serial) > 128 {
		return "", nil, errHeaders
	}
	if strings.HasPrefix(signature, probePrefix) {
		return "", nil, errProbe
	}
	// Of absurd numbers not even the difference can be trusted.
	now := c.clock.Now().Unix()
	if limit := int64(maxSkew / time.Second); seconds <= now-limit || seconds >= now+limit {
		return "", nil, errSkew
	}
	return serial, []byte(at + "\n" + nonce + "\n" + string(body) + "\n"), nil
}

func (c *Client) platformKey(ctx context.Context, serial string) (*rsa.PublicKey, error) {
	if strings.HasPrefix(serial, publicKeyPrefix) {
		if serial != c.config.PublicKeyID {
			return nil, errSerial
		}
		return c.config.PublicKey, nil
	}
	found, again := c.keys.look(serial, c.clock.Now())
	if !again {
		return found.orError()
	}
	c.keys.asking.Lock()
	defer c.keys.asking.Unlock()
	now := c.clock.Now()
	if found, again = c.keys.look(serial, now); !again { // somebody else asked meanwhile
		return found.orError()
	}
	list, err := c.download(ctx)
	c.keys.mu.Lock()
	defer c.keys.mu.Unlock()
	c.keys.asked = now
	if err == nil {
		c.keys.list, c.keys.loaded = list, now
		found = c.keys.find(serial, now)
	} else if found == nil {
		return nil, err
	}
	return found.orError() // after a failure an old one that is valid still
}

// look finds a certificate, and says whether the list is to be asked for.
func (k *platformKeys) look(serial string, now time.Time) (found *certificate, ask bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found = k.find(serial, now)
	fresh := found != nil && now.Sub(k.loaded) < certificatesFresh
	return found, !fresh && (k.asked.IsZero() || now.Sub(k.asked) >= certificatesPause)
}

func (k *platformKeys) find(serial string, now time.Time) *certificate {
	for n := range k.list {
		if one := k.list[n]; one.serial == serial && !now.Before(one.from) && now.Before(one.until) {
			return &one
		}
	}
	return nil
}

func (f *certificate) orError() (*rsa.PublicKey, error) {
	if f == nil {
		return nil, errSerial
	}
	return f.key, nil
}

// download fetches the platform's certificates. The APIv3 key, which only the
// platform and the merchant have, proves each of them; the answer must besides
// be signed by one of them.
func (c *Client) download(ctx context.Context) ([]certificate, error) {
	begun := time.Now()
	list, err := c.fetch(ctx)
	c.client.Observe("certificates", pay.Outcome(err), time.Since(begun))
	return list, err
}

func (c *Client) fetch(ctx context.Context) ([]certificate, error) {
	answer, err := c.send(ctx, "certificates", http.MethodGet, "/v3/certificates", nil)
	if err != nil {
		return nil, err
	}
	list, err := decodeCertificates(c.config.V3Key, answer.Body)
	if err != nil {
		return nil, unreadable("certificates", err)
	}
	serial, message, err := c.signed(answer.Header, answer.Body)
	if err != nil {
		return nil, unreadable("certificates", err)
	}
	if strings.HasPrefix(serial, publicKeyPrefix) && serial == c.config.PublicKeyID {
		if err := pay.Verify(c.config.PublicKey, message, answer.Header.Get("Wechatpay-Signature")); err != nil {
			return nil, unreadable("certificates", err)
		}
		return list, nil
	}
	for _, one := range list {
		if one.serial == serial && pay.Verify(one.key, message, answer.Header.Get("Wechatpay-Signature")) == nil {
			return list, nil
		}
	}
	return nil, unreadable("certificates", errSerial)
}

// sealed is a part that is encrypted with the APIv3 key.
type sealed struct {
	Type       string `json:"original_type"`
	Algorithm  string `json:"algorithm"`
	Nonce      string `json:"nonce"`
	AAD        string `json:"associated_data"`
	Ciphertext string `json:"ciphertext"`
}

// open decrypts a part.
// Error: it is not from the holder of the key, or was changed.
func (s sealed) open(key string) ([]byte, error) {
	if s.Algorithm != "AEAD_AES_256_GCM" || len(s.Nonce) != nonceLength || len(s.AAD) > maxAAD {
		return nil, errors.New("not sealed as documented")
	}
	raw, err := base64.StdEncoding.DecodeString(s.Ciphertext)
	if err != nil {
		return nil, errors.New("not sealed as documented")
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, []byte(s.Nonce), raw, []byte(s.AAD))
}

func decodeCertificates(key string, body []byte) ([]certificate, error) {
	var answer struct {
		Data []struct {
			Serial string    `json:"serial_no"`
			From   time.Time `json:"effective_time"`
			Until  time.Time `json:"expire_time"`
			Sealed sealed    `json:"encrypt_certificate"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errors.New("no list of certificates")
	}
	var list []certificate
	for _, one := range answer.Data {
		text, err := one.Sealed.open(key)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("no certificate")
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("no certificate")
		}
		public, ok := parsed.PublicKey.(*rsa.PublicKey)
		if !ok || one.Serial == "" || !strings.EqualFold(strings.TrimLeft(one.Serial, "0"), fmt.Sprintf("%x", parsed.SerialNumber)) {
			return nil, errors.New("a certificate of another kind or serial")
		}
		list = append(list, certificate{one.Serial, public, one.From, one.Until})
	}
	if len(list) == 0 {
		return nil, errors.New("no certificates")
	}
	return list, nil
}
