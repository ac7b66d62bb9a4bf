package main

import (
	"context"
	"reflect"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	v1 "tradingbot/bench/peers/go/api/v1"
)

var assetRegistryGVK = v1.GroupVersion.WithKind("AssetRegistry")

// AssetRegistryWebhook defaults and validates AssetRegistries.
type AssetRegistryWebhook struct{}

// Default fills in the defaults, and denies what the CRD's schema would refuse: see TradingBot's.
func (*AssetRegistryWebhook) Default(ctx context.Context, registry *v1.AssetRegistry) error {
	defaultRegistry(registry)
	var shape report
	checkRegistryShape(&shape, registry)
	if len(shape.errors) == 0 && !hasDoublesIn(registry) {
		return nil
	}
	old := &v1.AssetRegistry{}
	isUpdate, err := oldObject(ctx, old)
	if err != nil {
		return err
	}
	var found *report
	if isUpdate {
		found = reviewRegistryUpdate(old, registry)
	} else {
		found = reviewRegistry(registry)
	}
	if len(shape.errors) == 0 && !found.refusedBySchema() {
		return nil
	}
	return registryInvalid(registry, found)
}

// hasDoublesIn looks into what the CRD's schema calls a set, or a map by name.
func hasDoublesIn(registry *v1.AssetRegistry) bool {
	names := make(map[string]struct{}, len(registry.Spec.Assets))
	for i := range registry.Spec.Assets {
		asset := &registry.Spec.Assets[i]
		names[*asset.Name] = struct{}{}
		if hasDoubles(asset.Tags) || hasDoubles(asset.DependsOn) {
			return true
		}
	}
	return len(names) < len(registry.Spec.Assets)
}

func (*AssetRegistryWebhook) ValidateCreate(
	_ context.Context, registry *v1.AssetRegistry,
) (admission.Warnings, error) {
	found := reviewRegistry(registry)
	return found.sentences(), registryInvalid(registry, found)
}

func (*AssetRegistryWebhook) ValidateUpdate(
	_ context.Context, old, registry *v1.AssetRegistry,
) (admission.Warnings, error) {
	found := reviewRegistryUpdate(old, registry)
	return found.sentences(), registryInvalid(registry, found)
}

func (*AssetRegistryWebhook) ValidateDelete(context.Context, *v1.AssetRegistry) (admission.Warnings, error) {
	return nil, nil
}

func registryInvalid(registry *v1.AssetRegistry, found *report) error {
	if len(found.errors) == 0 {
		return nil
	}
	return apierrors.NewInvalid(assetRegistryGVK.GroupKind(), registry.Name, found.errorList())
}

func reviewRegistry(registry *v1.AssetRegistry) *report {
	found := &report{}
	checkRegistryShape(found, registry)
	checkRegistryRules(found, registry)
	return found
}

func reviewRegistryUpdate(old, registry *v1.AssetRegistry) *report {
	defaultRegistry(old)
	if registry.DeletionTimestamp != nil || reflect.DeepEqual(old.Spec, registry.Spec) {
		return &report{}
	}
	found := reviewRegistry(registry)
	found.ratchet(old, registry, "name")
	checkTransitions(found, old, registry)
	return found
}

func defaultRegistry(registry *v1.AssetRegistry) {
	if registry.Spec == nil {
		return
	}
	if registry.Spec.DeletionPolicy == "" {
		registry.Spec.DeletionPolicy = "Delete"
	}
	for i := range registry.Spec.Assets {
		asset := &registry.Spec.Assets[i]
		if asset.Status == "" {
			asset.Status = "Draft"
		}
		if asset.Tags == nil {
			asset.Tags = []string{}
		}
		if asset.Config == nil {
			asset.Config = &apiextensionsv1.JSON{Raw: []byte("{}")}
		}
		if asset.DependsOn == nil {
			asset.DependsOn = []string{}
		}
	}
}
