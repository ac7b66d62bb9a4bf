package main

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

func checkDependencies(r *report, index int, asset *v1.Asset, names map[string]bool) {
	if len(asset.DependsOn) == 0 {
		return
	}
	path := assetsPath.Index(index).Child("dependsOn")
	duplicates(r, path, asset.DependsOn, assetsPath)
	for place, target := range asset.DependsOn {
		if target == *asset.Name {
			r.invalid(path.Index(place), target, "an asset can't need itself", "spec.assets")
		} else if !names[target] && !strings.Contains(target, "/") && !isUUID(target) {
			r.invalid(path.Index(place), target, "is neither the name of an asset of this object, nor a"+
				" reference such as crd/NAMESPACE/OBJECT.ASSET, nor the UUID of an asset in the registry", "spec.assets")
		}
	}
}

func isUUID(text string) bool {
	parsed, err := uuid.Parse(text)
	return err == nil && parsed.String() == text
}

// walk is a depth-first search for cycles.
type walk struct {
	assets  []v1.Asset
	indexOf map[string]int
	done    []bool
	trail   []string
	onTrail []bool
	report  func(index, place int, cycle []string)
}

// checkCycles reports the first edge of each asset that closes a cycle.
func checkCycles(r *report, assets []v1.Asset) {
	search := walk{
		assets:  assets,
		indexOf: make(map[string]int, len(assets)),
		done:    make([]bool, len(assets)),
		onTrail: make([]bool, len(assets)),
		report: func(index, place int, cycle []string) {
			path := field.NewPath("spec", "assets").Index(index).Child("dependsOn").Index(place)
			r.invalid(path, assets[index].DependsOn[place],
				"closes the cycle "+strings.Join(cycle, " -> "), "spec.assets")
		},
	}
	for i := range assets {
		search.indexOf[*assets[i].Name] = i
	}
	for i := range assets {
		search.visit(search.indexOf[*assets[i].Name])
	}
}

func (w *walk) visit(index int) {
	if w.done[index] {
		return
	}
	name := *w.assets[index].Name
	w.trail, w.onTrail[index] = append(w.trail, name), true
	closed := false
	for place, target := range w.assets[index].DependsOn {
		next, known := w.indexOf[target]
		switch {
		case !known || w.done[next] || target == name:
		case !w.onTrail[next]:
			w.visit(next)
		case !closed:
			closed = true
			start := slices.Index(w.trail, target)
			w.report(index, place, append(slices.Clone(w.trail[start:]), target))
		}
	}
	w.trail, w.onTrail[index] = w.trail[:len(w.trail)-1], false
	w.done[index] = true
}
