package main

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

const (
	baseURLWords = "must be an absolute https URL (http only in mode Paper)"
	hostWords    = "must have a host that is an IP address (IPv6 in brackets) or a DNS name: labels of at most 63" +
		" letters, digits and '-', with single dots between them, at most 253 characters"
	idnWords  = "must have its host in ASCII; write an international name with xn-- labels"
	portWords = "must have a port from 1 to 65535, or none"
)

var (
	baseURLForm = regexp.MustCompile(`^https?://[^/\s?#]+(/[^\s]*)?$`)
	hostLabel   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	numberLabel = regexp.MustCompile(`^([0-9]+|0[xX][0-9a-fA-F]*)$`)
)

// baseURLProblem is what is wrong with the address of an exchange, or "".
func baseURLProblem(text string) string {
	if len(text) > 2048 || !baseURLForm.MatchString(text) {
		return baseURLWords
	}
	authority, _, _ := strings.Cut(text[strings.Index(text, "://")+3:], "/")
	if strings.Contains(authority, "@") {
		return "must not contain user info; put credentials into the Secret"
	}
	if strings.ContainsAny(text, "?#") {
		return "must not contain a query or a fragment"
	}
	if problem := authorityProblem(authority); problem != "" {
		return problem
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return baseURLWords
	}
	return ""
}

func authorityProblem(authority string) string {
	host, port, hasPort := authority, "", false
	if colon := strings.LastIndexByte(authority, ':'); colon >= 0 && !strings.HasSuffix(authority, "]") {
		host, port, hasPort = authority[:colon], authority[colon+1:], true
	}
	if host == "" {
		return baseURLWords
	}
	if hasPort {
		number, err := strconv.Atoi(port)
		if err != nil || len(port) > 5 || !areDigits(port) || number < 1 || number > 65535 {
			return portWords
		}
	}
	if inner, isBracketed := strings.CutPrefix(host, "["); isBracketed {
		inner, isClosed := strings.CutSuffix(inner, "]")
		if address, err := netip.ParseAddr(inner); !isClosed || err != nil || !address.Is6() || address.Zone() != "" {
			return hostWords
		}
		return ""
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		return idnWords
	}
	name := strings.TrimSuffix(host, ".")
	labels := strings.Split(name, ".")
	if numberLabel.MatchString(labels[len(labels)-1]) {
		if address, err := netip.ParseAddr(host); err != nil || !address.Is4() {
			return hostWords
		}
		return ""
	}
	if len(name) > 253 {
		return hostWords
	}
	for _, label := range labels {
		if !hostLabel.MatchString(label) || !isReadable(strings.ToLower(label)) {
			return hostWords
		}
	}
	return ""
}

// isReadable is false for a label that claims to be international and is not.
func isReadable(label string) bool {
	if !strings.HasPrefix(label, "xn--") {
		return true
	}
	text, err := idna.Punycode.ToUnicode(label)
	if err != nil || text == label || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return false
	}
	again, err := idna.Punycode.ToASCII(text)
	return err == nil && again == label
}
