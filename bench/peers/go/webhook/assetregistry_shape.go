package main

import (
	"regexp"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	registryNameWords = "must be a DNS-1123 label of at most 63 characters: lower-case letters, digits and '-'," +
		" beginning and ending with a letter or digit"
	assetNameWords = "must be a DNS-1123 label: at most 63 lower-case letters, digits and '-', beginning and" +
		" ending with a letter or digit"
	tagWords = "must be at most 63 lower-case letters, digits, '-', '_', '.' and ':', beginning and ending" +
		" with a letter or digit"
	dependencyWords = "must be the name of an asset of this object, a reference such as" +
		" crd/NAMESPACE/OBJECT.ASSET, or the UUID of an asset in the registry"
)

var (
	referenceForm = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,30}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?` +
		`/[a-z0-9]([-a-z0-9.]{0,315}[a-z0-9])?$`)
	assetTypes = []string{
		"ApiEndpoint", "DatabaseConnection", "KubernetesDeployment", "KubernetesService", "Configuration",
		"MessageQueue", "ObjectStore", "Other",
	}
	assetStatuses    = []string{"Draft", "Active", "Inactive", "Failed"}
	deletionPolicies = []string{"Delete", "Retain"}
	assetsPath       = specPath.Child("assets")
)

func checkRegistryShape(r *report, registry *v1.AssetRegistry) {
	checkName(r, &registry.ObjectMeta, isDNSLabel, registryNameWords)
	if registry.Spec == nil {
		r.add(field.Required(specPath, ""))
		return
	}
	assets := registry.Spec.Assets
	switch {
	case assets == nil:
		r.add(field.Required(assetsPath, ""))
	case len(assets) == 0:
		r.add(field.Required(assetsPath, "must have at least 1 item"))
	case len(assets) > 500:
		r.add(field.TooMany(assetsPath, len(assets), 500))
	}
	for i := range assets {
		checkAssetShape(r, i, &assets[i])
	}
	checkChoice(r, specPath.Child("deletionPolicy"), &registry.Spec.DeletionPolicy, deletionPolicies)
}

// checkAssetShape makes a path only for a mistake: there are up to 500 assets.
func checkAssetShape(r *report, index int, asset *v1.Asset) {
	at := func(name string) *field.Path { return assetsPath.Index(index).Child(name) }
	if asset.Name == nil || !isDNSLabel(*asset.Name) {
		checkText(r, at("name"), asset.Name, isDNSLabel, nil, assetNameWords, 63)
	}
	if asset.Type == nil || !slices.Contains(assetTypes, *asset.Type) {
		checkChoice(r, at("type"), asset.Type, assetTypes)
	}
	if !slices.Contains(assetStatuses, asset.Status) {
		checkChoice(r, at("status"), &asset.Status, assetStatuses)
	}
	if len(asset.Description) > 1024 && utf8.RuneCountInString(asset.Description) > 1024 {
		r.add(field.TooLong(at("description"), "", 1024))
	}
	if len(asset.Tags) > 32 {
		r.add(field.TooMany(at("tags"), len(asset.Tags), 32))
	}
	for place, tag := range asset.Tags {
		if !isTag(tag) {
			r.malformed(at("tags").Index(place), tag, nil, tagWords, 63)
		}
	}
	if len(asset.Config.Raw) > 0 && asset.Config.Raw[0] != '{' {
		r.add(field.TypeInvalid(at("config"), "", "must be an object"))
	}
	if asset.SecretRef != nil {
		checkText(r, at("secretRef").Child("name"), asset.SecretRef.Name, isDNSSubdomain, hidden{}, secretNameWords, 253)
		checkText(r, at("secretRef").Child("key"), asset.SecretRef.Key, isKeyName, hidden{}, keyNameWords, 253)
	}
	if len(asset.DependsOn) > 500 {
		r.add(field.TooMany(at("dependsOn"), len(asset.DependsOn), 500))
	}
	for place, target := range asset.DependsOn {
		if !isDNSLabel(target) && (len(target) > 414 || !referenceForm.MatchString(target)) {
			r.malformed(at("dependsOn").Index(place), target, nil, dependencyWords, 414)
		}
	}
}
