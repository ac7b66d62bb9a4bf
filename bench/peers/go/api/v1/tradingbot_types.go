package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +kubebuilder:object:root=true

// TradingBot is what a user declares, and what has come of it.
type TradingBot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   *TradingBotSpec  `json:"spec,omitempty"`
	Status TradingBotStatus `json:"status,omitzero"`
}

type TradingBotSpec struct {
	Strategy       *Strategy       `json:"strategy,omitempty"`
	Exchange       *Exchange       `json:"exchange,omitempty"`
	Mode           string          `json:"mode,omitempty"`
	Resources      *Resources      `json:"resources,omitempty"`
	RiskManagement *RiskManagement `json:"riskManagement,omitempty"`
	Schedule       *Schedule       `json:"schedule,omitempty"`
	UpdatePolicy   string          `json:"updatePolicy,omitempty"`
	Paused         *bool           `json:"paused,omitempty"`
}

type Strategy struct {
	Type       *string           `json:"type,omitempty"`
	Image      *string           `json:"image,omitempty"`
	Parameters map[string]string `json:"parameters"`
}

type Exchange struct {
	Name          *string `json:"name,omitempty"`
	APIKeySecret  *string `json:"apiKeySecret,omitempty"`
	APIKeyPath    *string `json:"apiKeyPath,omitempty"`
	APISecretPath *string `json:"apiSecretPath,omitempty"`
	// PassphrasePath is the key of an optional third credential.
	PassphrasePath *string `json:"passphrasePath,omitempty"`
	BaseURL        *string `json:"baseURL,omitempty"`
	// Dialect is the API that the exchange speaks.
	Dialect       *string        `json:"dialect,omitempty"`
	QuoteCurrency *string        `json:"quoteCurrency,omitempty"`
	PaperBalance  []PaperBalance `json:"paperBalance,omitzero"`
}

type PaperBalance struct {
	Asset  *string  `json:"asset,omitempty"`
	Amount *Decimal `json:"amount,omitempty"`
}

type Resources struct {
	Limits   *ResourceAmounts `json:"limits,omitempty"`
	Requests *ResourceAmounts `json:"requests,omitempty"`
}

type ResourceAmounts struct {
	CPU    *Quantity `json:"cpu,omitempty"`
	Memory *Quantity `json:"memory,omitempty"`
}

type RiskManagement struct {
	MaxPositionSize       *Decimal `json:"maxPositionSize,omitempty"`
	DailyLossLimit        *Decimal `json:"dailyLossLimit,omitempty"`
	StopLossPercentage    *Decimal `json:"stopLossPercentage,omitempty"`
	TakeProfitPercentage  *Decimal `json:"takeProfitPercentage,omitempty"`
	MaxOpenPositions      *int64   `json:"maxOpenPositions,omitempty"`
	PriceCollarPercentage *Decimal `json:"priceCollarPercentage,omitempty"`
	MaxOrdersPerMinute    *int64   `json:"maxOrdersPerMinute,omitempty"`
	AllowedSymbols        []string `json:"allowedSymbols,omitzero"`
	// Enforcement is who keeps these limits.
	Enforcement *string `json:"enforcement,omitempty"`
}

type Schedule struct {
	TimeZone  *string    `json:"timeZone,omitempty"`
	DayStart  *string    `json:"dayStart,omitempty"`
	Windows   []Window   `json:"windows"`
	Blackouts []Blackout `json:"blackouts"`
}

type Window struct {
	Days  []string `json:"days"`
	Start *string  `json:"start,omitempty"`
	End   *string  `json:"end,omitempty"`
}

type Blackout struct {
	From *string `json:"from,omitempty"`
	To   *string `json:"to,omitempty"`
}
