package pay

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
)

const leastBits = 2048

// Errors of keys never repeat the key.
var (
	errKey  = errors.New("is no RSA key: write PEM, or its base64 body")
	errWeak = errors.New("is an RSA key below 2048 bits")
	errSign = errors.New("the signature does not verify")
)

// der is the content of a key given as PEM, or as the bare base64 that
// providers' consoles show.
func der(text string) (block []byte, kind string, err error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), `\n`, "\n") // one line of an environment file
	if b, _ := pem.Decode([]byte(text)); b != nil {
		return b.Bytes, b.Type, nil
	}
	block, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(block) == 0 {
		return nil, "", errKey
	}
	return block, "", nil
}

// PrivateKey reads an RSA key in PKCS#8 or PKCS#1.
// Error: what is wrong with it; the key is not repeated.
func PrivateKey(text string) (*rsa.PrivateKey, error) {
	block, _, err := der(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PrivateKey(block)
	if err != nil {
		any8, err := x509.ParsePKCS8PrivateKey(block)
		if err != nil {
			return nil, errKey
		}
		var ok bool
		if key, ok = any8.(*rsa.PrivateKey); !ok {
			return nil, errKey
		}
	}
	if key.N.BitLen() < leastBits {
		return nil, errWeak
	}
	return key, nil
}

// PublicKey reads an RSA key as SubjectPublicKeyInfo, PKCS#1 or a certificate.
// Error: what is wrong with it.
func PublicKey(text string) (*rsa.PublicKey, error) {
	block, kind, err := der(text)
	if err != nil {
		return nil, err
	}
	var key *rsa.PublicKey
	if kind == "CERTIFICATE" {
		certificate, err := x509.ParseCertificate(block)
		if err != nil {
			return nil, errKey
		}
		key, _ = certificate.PublicKey.(*rsa.PublicKey)
	} else if key, err = x509.ParsePKCS1PublicKey(block); err != nil {
		info, err := x509.ParsePKIXPublicKey(block)
		if err != nil {
			return nil, errKey
		}
		key, _ = info.(*rsa.PublicKey)
	}
	if key == nil {
		return nil, errKey
	}
	if key.N.BitLen() < leastBits {
		return nil, errWeak
	}
	return key, nil
}

// Sign is base64 of RSA PKCS#1 v1.5 over SHA-256: what both providers want.
func Sign(key *rsa.PrivateKey, message []byte) (string, error) {
	digest := sha256.Sum256(message)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// Verify checks such a signature.
// Error: it is not that of the key's owner over these bytes.
func Verify(key *rsa.PublicKey, message []byte, signature string) error {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return errSign
	}
	digest := sha256.Sum256(message)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw) != nil {
		return errSign
	}
	return nil
}
