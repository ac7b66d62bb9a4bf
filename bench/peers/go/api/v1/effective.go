package v1

import (
	"strings"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

var (
	usualCPU    = resource.MustParse("100m")
	usualMemory = resource.MustParse("128Mi")
	mostProfit  = inf.NewDec(1000, 0)
)

// EffectiveRisk has the profit target that the bot runs with, and only text: bot.json has no numbers
// there, and does not say who keeps the limits. The default is twice the stop; it is computed here and
// never stored.
func (spec *TradingBotSpec) EffectiveRisk() *RiskManagement {
	risk := spec.RiskManagement.DeepCopy()
	if risk.TakeProfitPercentage == nil {
		risk.TakeProfitPercentage = &Decimal{Text: profitTarget(risk.StopLossPercentage.Text)}
	}
	for _, number := range []*Decimal{
		risk.MaxPositionSize, risk.DailyLossLimit, risk.StopLossPercentage, risk.TakeProfitPercentage,
		risk.PriceCollarPercentage,
	} {
		number.Whole = false
	}
	risk.Enforcement = nil
	return risk
}

// EffectiveRequests are the requests of the container. The default of each is the usual one, or its
// limit if that is smaller.
func (spec *TradingBotSpec) EffectiveRequests() *ResourceAmounts {
	requests := &ResourceAmounts{}
	if spec.Resources.Requests != nil {
		requests = spec.Resources.Requests.DeepCopy()
	}
	limits := spec.Resources.Limits
	if requests.CPU == nil {
		requests.CPU = smaller("100m", usualCPU, limits.CPU)
	}
	if requests.Memory == nil {
		requests.Memory = smaller("128Mi", usualMemory, limits.Memory)
	}
	requests.CPU.Whole, requests.Memory.Whole = false, false
	return requests
}

func profitTarget(stop string) string {
	number, _ := new(inf.Dec).SetString(stop)
	profit := new(inf.Dec).Add(number, number)
	if profit.Cmp(mostProfit) > 0 {
		profit = mostProfit
	}
	text := profit.String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func smaller(usual string, amount resource.Quantity, limit *Quantity) *Quantity {
	if number, err := resource.ParseQuantity(limit.Text); err == nil && number.Cmp(amount) < 0 {
		return &Quantity{Text: limit.Text}
	}
	return &Quantity{Text: usual}
}
