package pii

import (
	"strings"
	"sync/atomic"
)

// Nearly all numbers are mainland mobiles: eleven digits whose first few decide everything. Which
// first digits are mobile changes with the numbering plan, so it is not written here but learned
// from the library, once for each prefix met.

const (
	mobileLength = 11
	prefixLength = 4 // digits that decide
)

const (
	unknownPrefix uint32 = iota
	mobilePrefix         // any digits after it make a mobile number, however it is written
	otherPrefix          // the library decides each number
)

// prefixes1 is indexed by the three digits after the leading 1.
var prefixes1 [1000]atomic.Uint32

// mainland takes the country code off a number that may be a mainland mobile, "" for all others.
func mainland(digits, region string) string {
	national := strings.TrimPrefix(digits, "+86")
	if national == digits {
		if region != DefaultRegion {
			return ""
		}
		switch len(digits) - mobileLength {
		case len("0086"):
			national = strings.TrimPrefix(digits, "0086")
		case len("86"):
			national = strings.TrimPrefix(digits, "86")
		}
	}
	if len(national) != mobileLength || national[0] != '1' {
		return ""
	}
	return national
}

// plainMobile tells whether eleven digits from 1 are certainly a mobile number. False means that the
// library has to be asked.
func plainMobile(national string) bool {
	entry := &prefixes1[int(national[1]-'0')*100+int(national[2]-'0')*10+int(national[3]-'0')]
	kind := entry.Load()
	if kind == unknownPrefix {
		kind = learnPrefix(national[:prefixLength])
		entry.Store(kind)
	}
	return kind == mobilePrefix
}

// learnPrefix asks for numbers with each next digit and for each way to write the country code. A
// prefix the library divides further (1740) stays with it.
func learnPrefix(prefix string) uint32 {
	is := func(before, national string) bool {
		p, err := parsePhone(before+national, DefaultRegion)
		return err == nil && p == Phone{E164: "+86" + national, Kind: PhoneMobile}
	}
	for d := range 10 {
		next := string(rune('0' + d))
		if !is("", prefix+strings.Repeat(next, mobileLength-prefixLength)) {
			return otherPrefix
		}
	}
	for _, before := range []string{"+86", "0086", "86"} {
		if !is(before, prefix+strings.Repeat("0", mobileLength-prefixLength)) {
			return otherPrefix
		}
	}
	return mobilePrefix
}
