package main

import (
	"fmt"
	"slices"
	"time"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

var (
	smallPercentage = inf.NewDec(1, 1)
	smallMemory     = resource.MustParse("64Mi")
)

// botRules check more than one field each. A rule runs only when the fields that it needs have the
// right shape. Those that need nothing check each item of a list alone, and its shape themselves.
var botRules = []struct {
	needs []string
	check func(*report, *v1.TradingBotSpec, time.Time)
}{
	{nil, parameterKeys},
	{keyPathNeeds, distinctKeyPaths},
	{baseURLNeeds, baseURL},
	{dialectNeeds, gatewayDialect},
	{symbolNeeds, allowedSymbols},
	{balanceNeeds, paperBalance},
	{keptByBotNeeds, limitsKeptByBot},
	{[]string{"spec.resources"}, requestsWithinLimits},
	{nil, windowForms},
	{[]string{"spec.schedule.windows"}, windowOverlaps},
	{nil, blackoutForms},
	{[]string{"spec.schedule.blackouts"}, pastBlackouts},
	{[]string{"spec.strategy.image", "spec.mode"}, unpinnedImage},
	{[]string{"spec.resources.limits.memory"}, littleMemory},
	{riskNeeds("dailyLossLimit", "maxPositionSize", "maxOpenPositions"), dailyLimitInReach},
	{riskNeeds("stopLossPercentage", "takeProfitPercentage"), fractionLike},
	{riskNeeds("stopLossPercentage", "dailyLossLimit", "maxPositionSize", "maxOpenPositions"), stopsWithinLimit},
	{riskNeeds("stopLossPercentage", "takeProfitPercentage"), profitAboveLoss},
}

var keyPathNeeds = []string{
	"spec.exchange.apiKeyPath", "spec.exchange.apiSecretPath", "spec.exchange.passphrasePath",
}

var baseURLNeeds = []string{"spec.exchange.name", "spec.exchange.baseURL", "spec.mode"}

func riskNeeds(names ...string) []string {
	for i, name := range names {
		names[i] = "spec.riskManagement." + name
	}
	return names
}

// checkBotRules comes after checkBotShape on the same report.
func checkBotRules(r *report, bot *v1.TradingBot, now time.Time) {
	r.shape = r.errors
	for _, rule := range botRules {
		if bot.Spec != nil && !broken(r.shape, rule.needs) {
			rule.check(r, bot.Spec, now)
		}
	}
}

func parameterKeys(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	if spec.Strategy == nil {
		return
	}
	for key := range spec.Strategy.Parameters {
		path := strategyPath.Child("parameters").Key(key)
		if !r.soundItem(path) {
			continue
		}
		if credentialKey.MatchString(key) {
			r.add(field.Forbidden(path, "looks like a credential; put it into the Secret that"+
				" spec.exchange.apiKeySecret names"))
		} else if !isParameterKey(key) {
			r.invalid(path, key, "a key must begin with a letter and have at most 63 letters,"+
				" digits, '_', '.' and '-'")
		}
	}
}

func distinctKeyPaths(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	before := map[string]string{}
	for _, one := range []struct {
		name string
		key  *string
	}{
		{"apiKeyPath", spec.Exchange.APIKeyPath},
		{"apiSecretPath", spec.Exchange.APISecretPath},
		{"passphrasePath", spec.Exchange.PassphrasePath},
	} {
		if one.key == nil {
			continue
		}
		if first, taken := before[*one.key]; taken {
			r.invalid(exchangePath.Child(one.name), hidden{}, "must differ from "+first, keyPathNeeds...)
			continue
		}
		before[*one.key] = one.name
	}
}

func baseURL(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	path := exchangePath.Child("baseURL")
	if spec.Exchange.BaseURL == nil {
		if *spec.Exchange.Name == "Custom" {
			r.add(field.Required(path, "a Custom exchange needs the base URL of its API"), baseURLNeeds...)
		}
	} else if spec.Mode == "Live" && (*spec.Exchange.BaseURL)[:5] != "https" {
		r.invalid(path, hidden{}, "must be https in mode Live", baseURLNeeds...)
	}
}

func requestsWithinLimits(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	limits, requests := spec.Resources.Limits, spec.Resources.Requests
	if requests == nil {
		return
	}
	for _, one := range []struct {
		name           string
		request, limit *v1.Quantity
	}{{"cpu", requests.CPU, limits.CPU}, {"memory", requests.Memory, limits.Memory}} {
		if one.request == nil {
			continue
		}
		request, _ := quantity(one.request.Text)
		limit, _ := quantity(one.limit.Text)
		if request.Cmp(limit) > 0 {
			r.invalid(resourcePath.Child("requests", one.name), one.request.Text,
				fmt.Sprintf("must be less than or equal to the %s limit of %s", one.name, one.limit.Text),
				"spec.resources")
		}
	}
}

func blackoutForms(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	for i, blackout := range spec.Schedule.Blackouts {
		if !r.soundItem(schedulePath.Child("blackouts").Index(i)) {
			continue
		}
		from, _ := instant(*blackout.From)
		to, _ := instant(*blackout.To)
		if !from.Before(to) {
			item := schedulePath.Child("blackouts").Index(i)
			r.invalid(item.Child("to"), *blackout.To,
				fmt.Sprintf("must be later than from (%s)", *blackout.From), item.String())
		}
	}
}

func pastBlackouts(r *report, spec *v1.TradingBotSpec, now time.Time) {
	for _, blackout := range spec.Schedule.Blackouts {
		if to, _ := instant(*blackout.To); to.After(now) {
			return
		}
	}
	if len(spec.Schedule.Blackouts) > 0 {
		r.warn("spec.schedule.blackouts", "all blackouts are in the past; remove them or mend their dates") // words: allow
	}
}

func unpinnedImage(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	if spec.Mode == "Live" && !isPinned(*spec.Strategy.Image) {
		r.warn("spec.strategy.image", "a Live bot should name a digest or a tag other than latest, or a"+
			" restart may change what trades")
	}
}

func littleMemory(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	text := spec.Resources.Limits.Memory.Text
	if number, _ := quantity(text); number.Cmp(smallMemory) < 0 {
		r.warn("spec.resources.limits.memory", text+" is very little; most bots need 64Mi or more")
	}
}

func dailyLimitInReach(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	risk := spec.RiskManagement
	atStake := decimal(risk.MaxPositionSize.Text)
	atStake.Mul(atStake, inf.NewDec(*risk.MaxOpenPositions, 0))
	if decimal(risk.DailyLossLimit.Text).Cmp(atStake) > 0 {
		r.warn("spec.riskManagement.dailyLossLimit", fmt.Sprintf(
			"%s is more than maxPositionSize x maxOpenPositions (%s): the halt would hardly ever act; lower it",
			*risk.DailyLossLimit, plain(atStake)))
	}
}

func fractionLike(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	risk := spec.RiskManagement
	for _, one := range []struct {
		name  string
		value *v1.Decimal
	}{
		{"stopLossPercentage", risk.StopLossPercentage},
		{"takeProfitPercentage", risk.TakeProfitPercentage},
	} {
		if one.value == nil {
			continue
		}
		if number := decimal(one.value.Text); number.Cmp(smallPercentage) < 0 {
			meant := plain(new(inf.Dec).Mul(number, hundred))
			r.warn("spec.riskManagement."+one.name, fmt.Sprintf(
				`%s means %s %%; write "%s" if you mean %s %%`, *one.value, *one.value, meant, meant))
		}
	}
}

func stopsWithinLimit(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	risk := spec.RiskManagement
	oneStop := decimal(risk.MaxPositionSize.Text)
	oneStop.Mul(oneStop, decimal(risk.StopLossPercentage.Text))
	oneStop.Mul(oneStop, inf.NewDec(1, 2))
	limit := decimal(risk.DailyLossLimit.Text)
	const path = "spec.riskManagement.stopLossPercentage"
	if oneStop.Cmp(limit) > 0 {
		r.warn(path, fmt.Sprintf("one stop of a full position loses %s, more than dailyLossLimit"+
			" (%s): the first already halts the day", plain(oneStop), *risk.DailyLossLimit))
		return
	}
	all := new(inf.Dec).Mul(oneStop, inf.NewDec(*risk.MaxOpenPositions, 0))
	if all.Cmp(limit) > 0 {
		r.warn(path, fmt.Sprintf("%d stops at once lose %s, more than dailyLossLimit (%s)",
			*risk.MaxOpenPositions, plain(all), *risk.DailyLossLimit))
	}
}

func profitAboveLoss(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	risk := spec.RiskManagement
	if risk.TakeProfitPercentage == nil {
		return
	}
	profit, stop := risk.TakeProfitPercentage.Text, risk.StopLossPercentage.Text
	if decimal(profit).Cmp(decimal(stop)) <= 0 {
		r.warn("spec.riskManagement.takeProfitPercentage", fmt.Sprintf(
			"%s is not above stopLossPercentage (%s): a win earns no more than a loss costs", profit, stop))
	}
}

func checkExchangeKept(r *report, old, bot *v1.TradingBot) {
	if exchangeChanged(old, bot) && slices.Contains(exchanges, *old.Spec.Exchange.Name) &&
		slices.Contains(exchanges, *bot.Spec.Exchange.Name) {
		r.invalid(exchangePath.Child("name"), *bot.Spec.Exchange.Name, "is immutable: open positions and"+
			" credentials belong to one exchange; create another bot instead")
	}
}

func exchangeChanged(old, bot *v1.TradingBot) bool {
	if old.Spec == nil || bot.Spec == nil || old.Spec.Exchange == nil || bot.Spec.Exchange == nil {
		return false
	}
	before, after := old.Spec.Exchange.Name, bot.Spec.Exchange.Name
	return before != nil && after != nil && *before != *after
}
