package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkName checks the name, or the prefix that one is generated from with five characters added.
func checkName(r *report, meta *metav1.ObjectMeta, holds func(string) bool, detail string) {
	switch {
	case meta.Name != "":
		if !holds(meta.Name) {
			r.invalid(namePath, meta.Name, detail)
		}
	case meta.GenerateName == "":
		r.add(field.Required(namePath, ""))
	case !holds(meta.GenerateName[:min(58, len(meta.GenerateName))] + "xxxxx"):
		r.invalid(field.NewPath("metadata", "generateName"), meta.GenerateName,
			"with 5 characters added, "+detail)
	}
}
