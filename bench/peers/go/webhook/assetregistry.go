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
func (*AssetRegistryWebhook) Default(ctx context.Context, catalogue *v1.AssetRegistry) error {
	defaultCatalogue(catalogue)
	var shape report
	checkCatalogueShape(&shape, catalogue)
	if len(shape.errors) == 0 && !hasDoublesIn(catalogue) {
		return nil
	}
	old := &v1.AssetRegistry{}
	isUpdate, err := oldObject(ctx, old)
	if err != nil {
		return err
	}
	var found *report
	if isUpdate {
		found = reviewCatalogueUpdate(old, catalogue)
	} else {
		found = reviewCatalogue(catalogue)
	}
	if len(shape.errors) == 0 && !found.refusedBySchema("") {
		return nil
	}
	return catalogueInvalid(catalogue, found)
}

// hasDoublesIn looks into what the CRD's schema calls a set, or a map by name.
func hasDoublesIn(catalogue *v1.AssetRegistry) bool {
	names := make(map[string]struct{}, len(catalogue.Spec.Assets))
	for i := range catalogue.Spec.Assets {
		asset := &catalogue.Spec.Assets[i]
		names[*asset.Name] = struct{}{}
		if hasDoubles(asset.Tags) || hasDoubles(asset.DependsOn) {
			return true
		}
	}
	return len(names) < len(catalogue.Spec.Assets)
}

func (*AssetRegistryWebhook) ValidateCreate(
	_ context.Context, catalogue *v1.AssetRegistry,
) (admission.Warnings, error) {
	found := reviewCatalogue(catalogue)
	return found.sentences(), catalogueInvalid(catalogue, found)
}

func (*AssetRegistryWebhook) ValidateUpdate(
	_ context.Context, old, catalogue *v1.AssetRegistry,
) (admission.Warnings, error) {
	found := reviewCatalogueUpdate(old, catalogue)
	return found.sentences(), catalogueInvalid(catalogue, found)
}

func (*AssetRegistryWebhook) ValidateDelete(context.Context, *v1.AssetRegistry) (admission.Warnings, error) {
	return nil, nil
}

func catalogueInvalid(catalogue *v1.AssetRegistry, found *report) error {
	if len(found.errors) == 0 {
		return nil
	}
	return apierrors.NewInvalid(assetRegistryGVK.GroupKind(), catalogue.Name, found.errorList())
}

func reviewCatalogue(catalogue *v1.AssetRegistry) *report {
	found := &report{}
	checkCatalogueShape(found, catalogue)
	checkCatalogueRules(found, catalogue)
	return found
}

func reviewCatalogueUpdate(old, catalogue *v1.AssetRegistry) *report {
	defaultCatalogue(old)
	if catalogue.DeletionTimestamp != nil || reflect.DeepEqual(old.Spec, catalogue.Spec) {
		return &report{}
	}
	found := reviewCatalogue(catalogue)
	found.ratchet(old, catalogue, "name")
	checkTransitions(found, old, catalogue)
	return found
}

func defaultCatalogue(catalogue *v1.AssetRegistry) {
	if catalogue.Spec == nil {
		return
	}
	if catalogue.Spec.DeletionPolicy == "" {
		catalogue.Spec.DeletionPolicy = "Delete"
	}
	for i := range catalogue.Spec.Assets {
		asset := &catalogue.Spec.Assets[i]
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
