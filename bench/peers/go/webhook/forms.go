package main

import (
	"regexp"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

var (
	credentialKey = regexp.MustCompile(`(?i)api[-_.]?key|api[-_.]?secret|secret[-_.]?key|access[-_.]?key` +
		`|access[-_.]?token|private[-_.]?key|password|passphrase`)
	userInfo    = regexp.MustCompile(`://[^/?#\s]*@`)
	instantForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]` +
		`(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

	knownZones sync.Map // of names that time.LoadLocation has found once
)

// isPlainDecimal is ^[0-9]{1,15}(\.[0-9]{1,8})?$.
func isPlainDecimal(text string) bool {
	whole, fraction, hasPoint := strings.Cut(text, ".")
	return len(whole) >= 1 && len(whole) <= 15 && areDigits(whole) &&
		(!hasPoint || (len(fraction) >= 1 && len(fraction) <= 8 && areDigits(fraction)))
}

func areDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

func decimal(text string) *inf.Dec {
	number, _ := new(inf.Dec).SetString(text)
	return number
}

// plain is the number with no trailing zeros.
func plain(number *inf.Dec) string {
	text := number.String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// quantity is the number that a quantity above zero stands for.
func quantity(text string) (resource.Quantity, bool) {
	number, err := resource.ParseQuantity(text)
	return number, err == nil && number.Sign() > 0
}

// isClockTime is ^([01][0-9]|2[0-3]):[0-5][0-9]$.
func isClockTime(text string) bool {
	return len(text) == 5 && text[2] == ':' && areDigits(text[:2]) && areDigits(text[3:]) &&
		text[:2] <= "23" && text[3:] <= "59"
}

func minuteOfDay(clock string) int {
	return (int(clock[0]-'0')*10+int(clock[1]-'0'))*60 + int(clock[3]-'0')*10 + int(clock[4]-'0')
}

// isZone caches: LoadLocation reads and parses a file each time.
func isZone(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	if _, known := knownZones.Load(name); known {
		return true
	}
	if _, err := time.LoadLocation(name); err != nil {
		return false
	}
	knownZones.Store(name, true)
	return true
}

// instant parses RFC 3339 with an offset, from the year 1 on.
func instant(text string) (time.Time, bool) {
	if len(text) > 40 || !instantForm.MatchString(text) {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil && at.UTC().Year() >= 1 && at.UTC().Year() <= 9999
}

// isDNSLabel is ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$, of at most 63 characters.
func isDNSLabel(text string) bool {
	return len(text) <= 63 && isLabel(text)
}

// isDNSSubdomain is labels with dots between them, of at most 253 characters.
func isDNSSubdomain(text string) bool {
	if len(text) > 253 {
		return false
	}
	for _, label := range strings.Split(text, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(text string) bool {
	return isBounded(text, "-")
}

// isTag is ^[a-z0-9]([-a-z0-9_.:]{0,61}[a-z0-9])?$.
func isTag(text string) bool {
	return len(text) <= 63 && isBounded(text, "-_.:")
}

// isBounded begins and ends with a lower-case letter or digit, with `inside` allowed between.
func isBounded(text, inside string) bool {
	for i := range len(text) {
		c := text[i]
		if isLowerOrDigit(c) {
			continue
		}
		if i == 0 || i == len(text)-1 || strings.IndexByte(inside, c) < 0 {
			return false
		}
	}
	return text != ""
}

func isLowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// isKeyName is ^[-._a-zA-Z0-9]{1,253}$.
func isKeyName(text string) bool {
	return len(text) >= 1 && len(text) <= 253 && isKeyText(text)
}

// isParameterKey is [A-Za-z][A-Za-z0-9_.-]{0,62}.
func isParameterKey(text string) bool {
	return len(text) >= 1 && len(text) <= 63 && isLetter(text[0]) && isKeyText(text)
}

func isKeyText(text string) bool {
	for i := range len(text) {
		c := text[i]
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}
