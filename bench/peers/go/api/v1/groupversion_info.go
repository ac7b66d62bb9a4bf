// Package v1 has the API of trading.io/v1 as Go types.
// +kubebuilder:object:generate=true
// +groupName=trading.io
package v1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var GroupVersion = schema.GroupVersion{Group: "trading.io", Version: "v1"}

// AddToScheme makes the kinds known to a decoder.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &TradingBot{}, &TradingBotList{}, &AssetRegistry{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
