package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TradingBotStatus is what an operator reports of a bot. Admission never reads it.
type TradingBotStatus struct {
	Phase              string             `json:"phase,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	ConfigHash         string             `json:"configHash,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Effective          *Effective         `json:"effective,omitempty"`
	DeployedResources  []DeployedResource `json:"deployedResources,omitempty"`
	Risk               *RiskStatus        `json:"risk,omitempty"`
	Schedule           *ScheduleStatus    `json:"schedule,omitempty"`
}

// Effective are the values of fields whose default depends on another field.
type Effective struct {
	RiskManagement EffectiveRiskManagement `json:"riskManagement"`
	Resources      EffectiveResources      `json:"resources"`
}

type EffectiveRiskManagement struct {
	TakeProfitPercentage string `json:"takeProfitPercentage"`
	Enforcement          string `json:"enforcement"`
}

type EffectiveResources struct {
	Requests EffectiveRequests `json:"requests"`
}

type EffectiveRequests struct {
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
}

type DeployedResource struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Ready      bool   `json:"ready"`
}

type RiskStatus struct {
	TradingDay string      `json:"tradingDay,omitempty"`
	DayEndsAt  metav1.Time `json:"dayEndsAt,omitzero"`
}

type ScheduleStatus struct {
	Open bool `json:"open"`
}

// +kubebuilder:object:root=true

// TradingBotList is what a watch begins with.
type TradingBotList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TradingBot `json:"items"`
}
