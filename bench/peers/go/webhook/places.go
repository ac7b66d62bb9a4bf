package main

import (
	"strconv"
	"strings"
)

// split takes a place apart as field.Path prints it: a.b[0].c, a.b[key].
func split(place string) []string {
	var steps []string
	for _, part := range strings.Split(place, "[") {
		key, rest, isKey := strings.Cut(part, "]")
		if !isKey {
			rest = part
		} else {
			steps = append(steps, key)
		}
		for _, name := range strings.Split(rest, ".") {
			if name != "" {
				steps = append(steps, name)
			}
		}
	}
	return steps
}

// lookUp finds the value at a place. With listKey, an item of a list in `current` is found again in
// `root` by the value of that key: it may have moved.
func lookUp(root any, steps []string, listKey string, current any) (any, bool) {
	for depth, step := range steps {
		switch holder := root.(type) {
		case map[string]any:
			value, ok := holder[step]
			if !ok {
				return nil, false
			}
			root = value
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil {
				return nil, false
			}
			if listKey != "" && depth == 2 {
				index = sameKey(holder, listKey, current, steps[:depth+1])
			}
			if index < 0 || index >= len(holder) {
				return nil, false
			}
			root = holder[index]
		default:
			return nil, false
		}
	}
	return root, true
}

func sameKey(items []any, key string, current any, place []string) int {
	now, _ := lookUp(current, place, "", nil)
	item, _ := now.(map[string]any)
	for index, one := range items {
		if was, ok := one.(map[string]any); ok && item[key] != nil && was[key] == item[key] {
			return index
		}
	}
	return -1
}
