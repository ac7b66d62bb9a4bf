package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// shownCharacters is how much of a long value a message repeats.
const shownCharacters = 64

// hidden stands for a value that may be a credential. A field.Error prints what String says, and no
// quotes around it, if there is no JSON of the value.
type hidden struct{}

func (hidden) String() string { return "(not shown)" }

func (hidden) MarshalJSON() ([]byte, error) { return nil, errors.New("never shown") }

// finding is a mistake, and the places whose values make it one: an update that touches none of them
// has not made it worse. Empty means the field itself.
type finding struct {
	*field.Error
	involves []string
}

// warning is something allowed and probably not meant.
type warning struct {
	field, message string
}

func (w warning) String() string { return w.field + ": " + w.message }

// report collects what the checks of one object find.
type report struct {
	errors   []finding
	warnings []warning
	shape    []finding // the mistakes of shape, once the rules are asked
}

func (r *report) add(err *field.Error, involves ...string) {
	r.errors = append(r.errors, finding{err, involves})
}

func (r *report) invalid(path *field.Path, value any, detail string, involves ...string) {
	if text, ok := value.(string); ok {
		value = shortened(text)
	}
	r.add(field.Invalid(path, value, detail), involves...)
}

// malformed is a text of the wrong form; if it is also over `limit` characters, it says so instead.
func (r *report) malformed(path *field.Path, text string, show any, detail string, limit int) {
	if len(text) > limit && utf8.RuneCountInString(text) > limit {
		r.add(field.TooLong(path, "", limit))
	} else if show != nil {
		r.invalid(path, show, detail)
	} else {
		r.invalid(path, text, detail)
	}
}

func (r *report) warn(path, message string) {
	r.warnings = append(r.warnings, warning{path, message})
}

// broken says whether a mistake of shape is in, or around, one of these places: a rule that checks
// them would only report it a second time.
func broken(shape []finding, places []string) bool {
	for _, found := range shape {
		for _, place := range places {
			if within(found.Field, place) || within(place, found.Field) {
				return true
			}
		}
	}
	return false
}

// soundItem says whether nothing is wrong with the shape of an item, or of these fields of it.
func (r *report) soundItem(item *field.Path, names ...string) bool {
	if len(r.shape) == 0 {
		return true
	}
	if len(names) == 0 {
		return !broken(r.shape, []string{item.String()})
	}
	places := make([]string, len(names))
	for i, name := range names {
		places[i] = item.Child(name).String()
	}
	return !broken(r.shape, places)
}

func within(inner, outer string) bool {
	if !strings.HasPrefix(inner, outer) {
		return false
	}
	return len(inner) == len(outer) || inner[len(outer)] == '.' || inner[len(outer)] == '['
}

func (r *report) errorList() field.ErrorList {
	var list field.ErrorList
	for _, found := range r.errors {
		list = append(list, found.Error)
	}
	return list
}

// refusedBySchema says whether the CRD's schema has a part in the mistakes: it knows sets, parameters
// that are named like a credential, and every mistake in these fields.
func (r *report) refusedBySchema(fields ...string) bool {
	return slices.ContainsFunc(r.errors, func(one finding) bool {
		return one.Type == field.ErrorTypeDuplicate || slices.Contains(fields, one.Field) ||
			one.Type == field.ErrorTypeForbidden && strings.HasPrefix(one.Field, "spec.strategy.parameters[")
	})
}

// hasDoubles is for lists of a few dozen values at most.
func hasDoubles(values []string) bool {
	for place, value := range values {
		if slices.Contains(values[:place], value) {
			return true
		}
	}
	return false
}

func (r *report) sentences() []string {
	if len(r.warnings) == 0 {
		return nil
	}
	sentences := make([]string, len(r.warnings))
	for i, one := range r.warnings {
		sentences[i] = one.String()
	}
	return sentences
}

// ratchet turns mistakes into warnings that an update has not made: nothing that makes them changed.
func (r *report) ratchet(oldObj, newObj any, listKey string) {
	before, after := generic(oldObj), generic(newObj)
	var kept []finding
	for _, found := range r.errors {
		places := found.involves
		if len(places) == 0 {
			places = []string{found.Field}
		}
		if anyChanged(places, before, after, listKey) {
			kept = append(kept, found)
		} else {
			r.warn(found.Field, found.ErrorBody())
		}
	}
	r.errors = kept
}

func anyChanged(places []string, before, after any, listKey string) bool {
	for _, place := range places {
		steps := split(place)
		value, isThere := lookUp(after, steps, "", nil)
		was, wasThere := lookUp(before, steps, listKey, after)
		if !isThere && !wasThere {
			// Missing now and before: it is the update's mistake if what it is missing from is new.
			_, isThere = lookUp(after, steps[:len(steps)-1], "", nil)
			_, wasThere = lookUp(before, steps[:len(steps)-1], listKey, after)
		}
		if isThere != wasThere || !reflect.DeepEqual(value, was) {
			return true
		}
	}
	return false
}

// generic is the object as plain JSON values.
func generic(obj any) any {
	var value any
	if text, err := json.Marshal(obj); err == nil {
		_ = json.Unmarshal(text, &value)
	}
	return value
}

func shortened(text string) string {
	if utf8.RuneCountInString(text) <= shownCharacters {
		return text
	}
	return string([]rune(text)[:shownCharacters]) + "..."
}
