package main

import (
	"context"
	"reflect"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	v1 "tradingbot/bench/peers/go/api/v1"
)

var (
	allDays       = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	usualCPU      = resource.MustParse("100m")
	usualMemory   = resource.MustParse("128Mi")
	tradingBotGVK = v1.GroupVersion.WithKind("TradingBot")
)

// TradingBotWebhook defaults and validates TradingBots.
type TradingBotWebhook struct{}

// Default fills in the defaults. What the CRD's schema would refuse is denied here already, so that
// the user is told all mistakes at once: the API server stops at the first layer of them.
func (*TradingBotWebhook) Default(ctx context.Context, bot *v1.TradingBot) error {
	defaultBot(bot)
	var shape report
	checkBotShape(&shape, bot)
	old := &v1.TradingBot{}
	isUpdate, err := oldObject(ctx, old)
	if err != nil {
		return err
	}
	if len(shape.errors) == 0 && !hasDoubleDays(bot) && !(isUpdate && exchangeChanged(old, bot)) {
		return nil
	}
	var found *report
	if isUpdate {
		found = reviewBotUpdate(old, bot)
	} else {
		found = reviewBot(bot)
	}
	if len(shape.errors) == 0 && !found.refusedBySchema("spec.exchange.name") {
		return nil
	}
	return botInvalid(bot, found)
}

// oldObject decodes what an update is from, and says whether it is one.
func oldObject(ctx context.Context, into any) (bool, error) {
	request, err := admission.RequestFromContext(ctx)
	if err != nil || request.Operation != admissionv1.Update {
		return false, err
	}
	return true, json.Unmarshal(request.OldObject.Raw, into)
}

func hasDoubleDays(bot *v1.TradingBot) bool {
	for i := range bot.Spec.Schedule.Windows {
		if hasDoubles(bot.Spec.Schedule.Windows[i].Days) {
			return true
		}
	}
	return false
}

func (*TradingBotWebhook) ValidateCreate(_ context.Context, bot *v1.TradingBot) (admission.Warnings, error) {
	found := reviewBot(bot)
	return found.sentences(), botInvalid(bot, found)
}

func (*TradingBotWebhook) ValidateUpdate(_ context.Context, old, bot *v1.TradingBot) (admission.Warnings, error) {
	found := reviewBotUpdate(old, bot)
	return found.sentences(), botInvalid(bot, found)
}

func (*TradingBotWebhook) ValidateDelete(context.Context, *v1.TradingBot) (admission.Warnings, error) {
	return nil, nil
}

func botInvalid(bot *v1.TradingBot, found *report) error {
	if len(found.errors) == 0 {
		return nil
	}
	return apierrors.NewInvalid(tradingBotGVK.GroupKind(), bot.Name, found.errorList())
}

func reviewBot(bot *v1.TradingBot) *report {
	found := &report{}
	checkBotShape(found, bot)
	checkBotRules(found, bot, time.Now())
	return found
}

// reviewBotUpdate never refuses a stop, a deletion or a change of metadata alone, and only warns of
// mistakes that were there before, unless the bot was paused: it is then checked in full.
func reviewBotUpdate(old, bot *v1.TradingBot) *report {
	defaultBot(old)
	if bot.DeletionTimestamp != nil || isPaused(bot) || reflect.DeepEqual(old.Spec, bot.Spec) {
		return &report{}
	}
	found := reviewBot(bot)
	if !isPaused(old) {
		found.ratchet(old, bot, "")
	}
	checkExchangeKept(found, old, bot)
	return found
}

func isPaused(bot *v1.TradingBot) bool {
	return bot.Spec != nil && bot.Spec.Paused != nil && *bot.Spec.Paused
}

func defaultBot(bot *v1.TradingBot) {
	spec := bot.Spec
	if spec == nil {
		return
	}
	if spec.Strategy != nil && spec.Strategy.Parameters == nil {
		spec.Strategy.Parameters = map[string]string{}
	}
	if spec.Exchange != nil {
		setDefault(&spec.Exchange.APIKeyPath, "api-key")
		setDefault(&spec.Exchange.APISecretPath, "api-secret")
	}
	if spec.Mode == "" {
		spec.Mode = "Paper"
	}
	if spec.UpdatePolicy == "" {
		spec.UpdatePolicy = "WhenFlat"
	}
	setDefault(&spec.Paused, false)
	defaultResources(spec)
	if spec.RiskManagement != nil {
		defaultRisk(spec.RiskManagement)
	}
	if spec.Schedule == nil {
		spec.Schedule = &v1.Schedule{}
	}
	defaultSchedule(spec.Schedule)
}

func setDefault[T any](value **T, usual T) {
	if *value == nil {
		*value = ptr.To(usual)
	}
}

// defaultResources keeps the requests within the limits.
func defaultResources(spec *v1.TradingBotSpec) {
	if spec.Resources == nil {
		spec.Resources = &v1.Resources{}
	}
	setDefault(&spec.Resources.Limits, v1.ResourceAmounts{})
	setDefault(&spec.Resources.Requests, v1.ResourceAmounts{})
	limits, requests := spec.Resources.Limits, spec.Resources.Requests
	setDefault(&limits.CPU, v1.Quantity{Text: "500m"})
	setDefault(&limits.Memory, v1.Quantity{Text: "256Mi"})
	if requests.CPU == nil {
		requests.CPU = &v1.Quantity{Text: smaller("100m", usualCPU, limits.CPU)}
	}
	if requests.Memory == nil {
		requests.Memory = &v1.Quantity{Text: smaller("128Mi", usualMemory, limits.Memory)}
	}
}

func smaller(usual string, amount resource.Quantity, limit *v1.Quantity) string {
	if number, ok := quantity(limit.Text); ok && number.Cmp(amount) < 0 {
		return limit.Text
	}
	return usual
}

// defaultRisk aims for a profit of twice the stop, at most 1000 %.
func defaultRisk(risk *v1.RiskManagement) {
	setDefault(&risk.StopLossPercentage, "2")
	setDefault(&risk.MaxOpenPositions, int64(1))
	stop := string(*risk.StopLossPercentage)
	if risk.TakeProfitPercentage != nil || !isPlainDecimal(stop) {
		return
	}
	number := decimal(stop)
	if number.Sign() == 0 {
		return
	}
	profit := number.Add(number, number)
	if profit.Cmp(thousand) > 0 {
		profit = thousand
	}
	risk.TakeProfitPercentage = ptr.To(v1.Decimal(plain(profit)))
}

func defaultSchedule(schedule *v1.Schedule) {
	setDefault(&schedule.TimeZone, "UTC")
	setDefault(&schedule.DayStart, "00:00")
	if schedule.Windows == nil {
		schedule.Windows = []v1.Window{}
	}
	if schedule.Blackouts == nil {
		schedule.Blackouts = []v1.Blackout{}
	}
	for i := range schedule.Windows {
		if schedule.Windows[i].Days == nil {
			schedule.Windows[i].Days = allDays
		}
	}
}
