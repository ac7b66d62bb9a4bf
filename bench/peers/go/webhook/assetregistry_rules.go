package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	maxConfigBytes = 16 * 1024
	maxConfigDepth = 100
	maxStoredBytes = 512 * 1024
	fieldBytes     = 16
)

var (
	requiredConfig = map[string][]string{
		"ApiEndpoint":          {"url"},
		"DatabaseConnection":   {"engine", "host", "database"},
		"KubernetesDeployment": {"namespace", "name"},
	}
	allowedTransitions = map[string][]string{
		"Draft":    {"Active", "Failed", "Inactive"},
		"Active":   {"Failed", "Inactive"},
		"Inactive": {"Active", "Failed"},
		"Failed":   {"Active", "Inactive"},
	}
)

// checkRegistryRules comes after checkRegistryShape on the same report.
func checkRegistryRules(r *report, registry *v1.AssetRegistry) {
	if registry.Spec == nil {
		return
	}
	r.shape = r.errors
	assets := registry.Spec.Assets
	for i := range assets {
		item := assetsPath.Index(i)
		if r.soundItem(item, "tags") {
			duplicates(r, item.Child("tags"), assets[i].Tags, item.Child("tags"))
		}
		if r.soundItem(item, "type", "config") {
			before := len(r.errors)
			checkConfig(r, i, &assets[i])
			for place := before; place < len(r.errors); place++ {
				r.errors[place].involves = []string{item.Child("type").String(), item.Child("config").String()}
			}
		}
	}
	if broken(r.shape, []string{"spec.assets"}) {
		return
	}
	if stored, err := json.Marshal(assets); err == nil {
		if size := len(stored) + fieldBytes*bytes.Count(stored, []byte(`":`)); size > maxStoredBytes {
			r.add(&field.Error{
				Type: field.ErrorTypeTooLong, Field: assetsPath.String(), BadValue: "",
				Detail: fmt.Sprintf("may not take more than %d bytes of storage, takes %d", maxStoredBytes, size),
			}, "spec.assets")
		}
	}
	names := make(map[string]bool, len(assets))
	for i := range assets {
		if names[*assets[i].Name] {
			r.add(field.Duplicate(assetsPath.Index(i).Child("name"), *assets[i].Name), "spec.assets")
		}
		names[*assets[i].Name] = true
	}
	for i := range assets {
		checkDependencies(r, i, &assets[i], names)
	}
	checkCycles(r, assets)
}

// duplicates involve the whole list, which is at `path`, or what is at `whole`.
func duplicates(r *report, path *field.Path, values []string, whole *field.Path) {
	for place, value := range values {
		if slices.Contains(values[:place], value) {
			r.add(field.Duplicate(path.Index(place), value), whole.String())
		}
	}
}

func checkConfig(r *report, index int, asset *v1.Asset) {
	item := assetsPath.Index(index)
	path := item.Child("config")
	var config map[string]any
	if err := json.Unmarshal(asset.Config.Raw, &config); err != nil {
		r.add(field.TypeInvalid(path, "", "must be an object"))
		return
	}
	for _, key := range requiredConfig[*asset.Type] {
		if isEmpty(config[key]) {
			r.add(field.Required(path.Child(key), fmt.Sprintf("an asset of type %s needs it", *asset.Type)))
		}
	}
	if isDeeper(config, maxConfigDepth) {
		r.invalid(path, "object", fmt.Sprintf("must nest at most %d levels deep", maxConfigDepth))
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, asset.Config.Raw); err == nil && compact.Len() > maxConfigBytes {
		r.invalid(path, "object", fmt.Sprintf("must be at most %d bytes as JSON, is %d", maxConfigBytes,
			compact.Len()))
	}
	credentials(r, path, config)
}

func isEmpty(value any) bool {
	switch one := value.(type) {
	case nil:
		return true
	case string:
		return one == ""
	case bool:
		return !one
	case float64:
		return one == 0
	case map[string]any:
		return len(one) == 0
	case []any:
		return len(one) == 0
	}
	return false
}

func isDeeper(value any, limit int) bool {
	if limit < 0 {
		return true
	}
	switch holder := value.(type) {
	case map[string]any:
		for _, inner := range holder {
			if isDeeper(inner, limit-1) {
				return true
			}
		}
	case []any:
		for _, inner := range holder {
			if isDeeper(inner, limit-1) {
				return true
			}
		}
	}
	return false
}

func credentials(r *report, path *field.Path, value any) {
	switch one := value.(type) {
	case map[string]any:
		for key, inner := range one {
			if credentialKey.MatchString(key) {
				r.add(field.Forbidden(path.Child(key),
					"looks like a credential; name its Secret in secretRef instead"))
			} else {
				credentials(r, path.Child(key), inner)
			}
		}
	case []any:
		for index, inner := range one {
			credentials(r, path.Index(index), inner)
		}
	case string:
		// The cheap search comes first: hardly any text holds what the expression begins with.
		if strings.Contains(one, "://") && userInfo.MatchString(one) {
			r.add(field.Forbidden(path, "is a URL with user info; name its Secret in secretRef instead"))
		}
	}
}

func checkTransitions(r *report, old, registry *v1.AssetRegistry) {
	if old.Spec == nil || registry.Spec == nil {
		return
	}
	before := map[string]string{}
	for _, asset := range old.Spec.Assets {
		if asset.Name != nil {
			before[*asset.Name] = asset.Status
		}
	}
	for i, asset := range registry.Spec.Assets {
		if asset.Name == nil || !slices.Contains(assetStatuses, asset.Status) {
			continue
		}
		was, known := before[*asset.Name]
		if known && slices.Contains(assetStatuses, was) && was != asset.Status &&
			!slices.Contains(allowedTransitions[was], asset.Status) {
			r.invalid(assetsPath.Index(i).Child("status"), asset.Status, fmt.Sprintf(
				"the asset is %s and may become only %s", was, strings.Join(allowedTransitions[was], ", ")))
		}
	}
}
