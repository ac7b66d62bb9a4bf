package main

import (
	"context"
	"reflect"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	v1 "tradingbot/bench/peers/go/api/v1"
)

var (
	allDays       = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
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
	if len(shape.errors) == 0 && !hasDoubleDays(bot) && !namesCredential(bot) &&
		!breaksGatewaySchema(bot.Spec) && !(isUpdate && exchangeChanged(old, bot)) {
		return nil
	}
	var found *report
	if isUpdate {
		found = reviewBotUpdate(old, bot)
	} else {
		found = reviewBot(bot)
	}
	if len(shape.errors) == 0 && !found.refusedBySchema("spec.exchange.name", "spec.exchange.dialect", "spec.riskManagement.enforcement") {
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

func namesCredential(bot *v1.TradingBot) bool {
	for key := range bot.Spec.Strategy.Parameters {
		if credentialKey.MatchString(key) {
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
	before, after := byMeaning(old), byMeaning(bot)
	if bot.DeletionTimestamp != nil || isPaused(bot) || reflect.DeepEqual(before.Spec, after.Spec) {
		return &report{}
	}
	found := reviewBot(bot)
	if !isPaused(old) {
		found.ratchet(before, after, "")
	}
	checkExchangeKept(found, old, bot)
	return found
}

// byMeaning has one spelling for each number: 7, "7" and "7.0" are the same.
func byMeaning(bot *v1.TradingBot) *v1.TradingBot {
	bot = bot.DeepCopy()
	if bot.Spec == nil {
		return bot
	}
	if risk := bot.Spec.RiskManagement; risk != nil {
		for _, number := range []*v1.Decimal{
			risk.MaxPositionSize, risk.DailyLossLimit, risk.StopLossPercentage, risk.TakeProfitPercentage,
			risk.PriceCollarPercentage,
		} {
			spellPlainly(number)
		}
	}
	if exchange := bot.Spec.Exchange; exchange != nil {
		for i := range exchange.PaperBalance {
			spellPlainly(exchange.PaperBalance[i].Amount)
		}
	}
	if resources := bot.Spec.Resources; resources != nil {
		for _, amounts := range []*v1.ResourceAmounts{resources.Limits, resources.Requests} {
			if amounts == nil {
				continue
			}
			for _, amount := range []*v1.Quantity{amounts.CPU, amounts.Memory} {
				if amount == nil {
					continue
				}
				if number, ok := quantity(amount.Text); ok {
					*amount = v1.Quantity{Text: plain(number.AsDec())}
				}
			}
		}
	}
	return bot
}

func spellPlainly(number *v1.Decimal) {
	if number != nil && isPlainDecimal(number.Text) {
		*number = v1.Decimal{Text: plain(decimal(number.Text))}
	}
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
	quoteFractions(spec)
}

// quoteFractions tells controller-runtime of the numbers that are written otherwise than they came.
func quoteFractions(spec *v1.TradingBotSpec) {
	quote := func(numbers ...*v1.Number) {
		for _, number := range numbers {
			if number != nil {
				number.Fraction = false
			}
		}
	}
	if risk := spec.RiskManagement; risk != nil {
		quote(risk.MaxPositionSize, risk.DailyLossLimit, risk.StopLossPercentage, risk.TakeProfitPercentage,
			risk.PriceCollarPercentage)
	}
	if exchange := spec.Exchange; exchange != nil {
		for i := range exchange.PaperBalance {
			quote(exchange.PaperBalance[i].Amount)
		}
	}
	for _, amounts := range []*v1.ResourceAmounts{spec.Resources.Limits, spec.Resources.Requests} {
		if amounts != nil {
			quote(amounts.CPU, amounts.Memory)
		}
	}
}

func setDefault[T any](value **T, usual T) {
	if *value == nil {
		*value = ptr.To(usual)
	}
}

// defaultResources leaves the requests out: their default depends on the limits, and is not stored.
func defaultResources(spec *v1.TradingBotSpec) {
	setDefault(&spec.Resources, v1.Resources{})
	setDefault(&spec.Resources.Limits, v1.ResourceAmounts{})
	setDefault(&spec.Resources.Limits.CPU, v1.Quantity{Text: "500m"})
	setDefault(&spec.Resources.Limits.Memory, v1.Quantity{Text: "256Mi"})
}

// defaultRisk leaves the profit target out, whose default depends on the stop.
func defaultRisk(risk *v1.RiskManagement) {
	setDefault(&risk.StopLossPercentage, v1.Decimal{Text: "2"})
	setDefault(&risk.MaxOpenPositions, int64(1))
	setDefault(&risk.PriceCollarPercentage, v1.Decimal{Text: "5"})
	setDefault(&risk.MaxOrdersPerMinute, int64(60))
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
