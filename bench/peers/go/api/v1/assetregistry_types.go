package v1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +kubebuilder:object:root=true

// AssetRegistry is a set of assets. The status is left out: admission never reads it.
type AssetRegistry struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec *AssetRegistrySpec `json:"spec,omitempty"`
}

type AssetRegistrySpec struct {
	Assets         []Asset `json:"assets,omitempty"`
	DeletionPolicy string  `json:"deletionPolicy,omitempty"`
}

type Asset struct {
	Name        *string               `json:"name,omitempty"`
	Type        *string               `json:"type,omitempty"`
	Status      string                `json:"status,omitempty"`
	Description string                `json:"description"`
	Tags        []string              `json:"tags"`
	Config      *apiextensionsv1.JSON `json:"config,omitempty"`
	SecretRef   *SecretRef            `json:"secretRef,omitempty"`
	DependsOn   []string              `json:"dependsOn"`
}

type SecretRef struct {
	Name *string `json:"name,omitempty"`
	Key  *string `json:"key,omitempty"`
}
