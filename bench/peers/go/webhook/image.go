package main

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	imageComponent = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	imageHostPart  = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])`
	imageHost      = `(?:` + imageHostPart + `(?:\.` + imageHostPart + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	imageWords     = "must be an image reference such as registry.example.com/team/bot:1.4.2 (repository in" +
		" lower case, no blanks, tag of at most 128 letters, digits, '_', '.' and '-')"
	maxRepository = 255
)

var (
	// As in the reference package of github.com/distribution: repository, tag, digest.
	imageReference = regexp.MustCompile(`^((?:` + imageHost + `/)?` + imageComponent +
		`(?:/` + imageComponent + `)*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?` +
		`(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`)
	hexDigits = map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}
)

// imageProblem is what is wrong with an image reference, or "".
func imageProblem(text string) string {
	parts := imageReference.FindStringSubmatch(text)
	if parts == nil {
		return imageWords
	}
	repository, digest := parts[1], parts[3]
	if digest != "" {
		algorithm, digits, _ := strings.Cut(digest, ":")
		wanted, known := hexDigits[algorithm]
		if !known {
			return "has a digest of another algorithm than sha256, sha384, sha512"
		}
		if len(digits) != wanted || digits != strings.ToLower(digits) {
			return fmt.Sprintf("has a digest that is not %s: followed by %d lower-case hex digits",
				algorithm, wanted)
		}
	}
	if len(repository) > maxRepository {
		return fmt.Sprintf("has a repository name of more than %d characters", maxRepository)
	}
	return ""
}

// isPinned says whether the reference names one version.
func isPinned(text string) bool {
	parts := imageReference.FindStringSubmatch(text)
	return parts != nil && (parts[3] != "" || (parts[2] != "" && parts[2] != "latest"))
}
