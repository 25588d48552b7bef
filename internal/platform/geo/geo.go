// Package geo names the city an address is in, from a database file in
// MaxMind's format (GeoLite2-City, DB-IP City Lite and others). The file is the
// operator's: none may be shipped. Without one nothing is known.
package geo

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Places looks addresses up. The zero value knows none.
type Places struct{ file *maxminddb.Reader }

// Open reads a database file; an empty path gives a Places that knows none. A
// newer file is read at the next start.
func Open(path string) (Places, error) {
	if path == "" {
		return Places{}, nil
	}
	file, err := maxminddb.Open(path)
	if err != nil {
		return Places{}, fmt.Errorf("places of addresses: %w", err)
	}
	return Places{file}, nil
}

// Close lets go of the file.
func (p Places) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// Name is the city and country of an address, in Chinese where the file has it
// and else in English: "上海, 中国"; empty when neither is known.
func (p Places) Name(ip string) string {
	if p.file == nil {
		return ""
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	var found struct {
		City    names `maxminddb:"city"`
		Country names `maxminddb:"country"`
	}
	if err := p.file.Lookup(a.Unmap().WithZone("")).Decode(&found); err != nil {
		return "" // a damaged entry; the address itself is still told
	}
	var parts []string
	for _, n := range []names{found.City, found.Country} {
		if text := n.text(); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

type names struct {
	Names map[string]string `maxminddb:"names"`
}

func (n names) text() string {
	if t := n.Names["zh-CN"]; t != "" {
		return t
	}
	return n.Names["en"]
}
