package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	secretNameWords = "must be the name of a Secret (a DNS-1123 subdomain: lower-case letters, digits, '-' and" +
		" '.'), never the credential itself"
	keyNameWords = "must be the name of a key in the Secret (letters, digits, '-', '_' and '.', at most 253)," +
		" never the credential itself"
	decimalWords = `must be a decimal number in plain text such as "1000" or "2.5", with at most 15 digits` +
		" before the point and 8 after it"
	quantityWords = `must be a quantity above 0 such as "500m" or "256Mi"`
	clockWords    = "must be a time of day from 00:00 to 23:59"
	zoneWords     = "must be a time zone of the IANA database such as UTC or Europe/Berlin"
	instantWords  = "must be a date and time with offset such as 2026-12-24T18:00:00+01:00"
	botNameWords  = "must be a DNS-1035 label of at most 52 characters: lower-case letters, digits and '-'," +
		" beginning with a letter and ending with a letter or digit"
)

var (
	strategies = []string{"Arbitrage", "MarketMaking", "Grid", "TrendFollowing", "DCA", "Custom"}
	exchanges  = []string{"Binance", "Coinbase", "Custom"}
	modes      = []string{"Paper", "Live"}
	policies   = []string{"WhenFlat", "Immediate", "Manual"}
	hundred    = inf.NewDec(100, 0)
	thousand   = inf.NewDec(1000, 0)
	trillion   = inf.NewDec(1, -12)

	specPath     = field.NewPath("spec")
	strategyPath = specPath.Child("strategy")
	exchangePath = specPath.Child("exchange")
	resourcePath = specPath.Child("resources")
	riskPath     = specPath.Child("riskManagement")
	schedulePath = specPath.Child("schedule")
	namePath     = field.NewPath("metadata", "name")
)

// checkBotShape checks each field alone. On an object that has passed the CRD's schema most of it
// finds nothing; the rest is what the schema can't say.
func checkBotShape(r *report, bot *v1.TradingBot) {
	checkName(r, &bot.ObjectMeta, isBotName, botNameWords)
	if bot.Spec == nil {
		r.add(field.Required(specPath, ""))
		return
	}
	spec := bot.Spec
	checkStrategy(r, spec.Strategy)
	checkExchange(r, spec.Exchange)
	checkChoice(r, specPath.Child("mode"), &spec.Mode, modes)
	for _, one := range []struct {
		path    *field.Path
		amounts *v1.ResourceAmounts
	}{
		{resourcePath.Child("limits"), spec.Resources.Limits},
		{resourcePath.Child("requests"), spec.Resources.Requests},
	} {
		if one.amounts == nil {
			continue
		}
		checkQuantity(r, one.path.Child("cpu"), one.amounts.CPU)
		checkQuantity(r, one.path.Child("memory"), one.amounts.Memory)
	}
	checkRisk(r, spec.RiskManagement)
	checkSchedule(r, spec.Schedule)
	checkChoice(r, specPath.Child("updatePolicy"), &spec.UpdatePolicy, policies)
}

func isBotName(name string) bool {
	return len(name) <= 52 && isLabel(name) && name[0] > '9'
}

func checkStrategy(r *report, strategy *v1.Strategy) {
	if strategy == nil {
		r.add(field.Required(strategyPath, ""))
		return
	}
	checkChoice(r, strategyPath.Child("type"), strategy.Type, strategies)
	image := strategyPath.Child("image")
	if strategy.Image == nil {
		r.add(field.Required(image, ""))
	} else if utf8.RuneCountInString(*strategy.Image) > 512 {
		r.add(field.TooLong(image, "", 512))
	} else if problem := imageProblem(*strategy.Image); problem != "" {
		r.invalid(image, *strategy.Image, problem)
	}
	parameters := strategyPath.Child("parameters")
	if len(strategy.Parameters) > 64 {
		r.add(field.TooMany(parameters, len(strategy.Parameters), 64))
	}
	for key, value := range strategy.Parameters {
		if len(value) > 4096 && utf8.RuneCountInString(value) > 4096 {
			r.add(field.TooLong(parameters.Key(key), "", 4096))
		}
	}
}

func checkExchange(r *report, exchange *v1.Exchange) {
	if exchange == nil {
		r.add(field.Required(exchangePath, ""))
		return
	}
	checkChoice(r, exchangePath.Child("name"), exchange.Name, exchanges)
	checkText(r, exchangePath.Child("apiKeySecret"), exchange.APIKeySecret, isDNSSubdomain, hidden{}, secretNameWords, 253)
	checkText(r, exchangePath.Child("apiKeyPath"), exchange.APIKeyPath, isKeyName, hidden{}, keyNameWords, 253)
	checkText(r, exchangePath.Child("apiSecretPath"), exchange.APISecretPath, isKeyName, hidden{}, keyNameWords, 253)
	if exchange.PassphrasePath != nil {
		checkText(r, exchangePath.Child("passphrasePath"), exchange.PassphrasePath, isKeyName, hidden{}, keyNameWords, 253)
	}
	if exchange.BaseURL != nil {
		if problem := baseURLProblem(*exchange.BaseURL); problem != "" {
			r.malformed(exchangePath.Child("baseURL"), *exchange.BaseURL, hidden{}, problem, 2048)
		}
	}
	checkExchangeOfGateway(r, exchange)
}

func checkRisk(r *report, risk *v1.RiskManagement) {
	if risk == nil {
		r.add(field.Required(riskPath, ""))
		return
	}
	checkDecimal(r, riskPath.Child("maxPositionSize"), risk.MaxPositionSize, nil, "")
	checkDecimal(r, riskPath.Child("dailyLossLimit"), risk.DailyLossLimit, nil, "")
	checkDecimal(r, riskPath.Child("stopLossPercentage"), risk.StopLossPercentage,
		func(n *inf.Dec) bool { return n.Cmp(hundred) < 0 }, " and less than 100")
	if risk.TakeProfitPercentage != nil {
		checkDecimal(r, riskPath.Child("takeProfitPercentage"), risk.TakeProfitPercentage,
			func(n *inf.Dec) bool { return n.Cmp(thousand) <= 0 }, " and at most 1000")
	}
	checkCount(r, riskPath.Child("maxOpenPositions"), *risk.MaxOpenPositions, 1000)
	checkRiskOfGateway(r, risk)
}

func checkCount(r *report, path *field.Path, count, most int64) {
	if count < 1 {
		r.invalid(path, count, "must be greater than or equal to 1")
	} else if count > most {
		r.invalid(path, count, fmt.Sprintf("must be less than or equal to %d", most))
	}
}

// checkSize is for lists that may be left out, and may not be empty.
func checkSize(r *report, path *field.Path, size, most int) {
	if size == 0 {
		r.add(field.Required(path, "must have at least 1 item"))
	} else if size > most {
		r.add(field.TooMany(path, size, most))
	}
}

func checkSchedule(r *report, schedule *v1.Schedule) {
	checkText(r, schedulePath.Child("timeZone"), schedule.TimeZone, isZone, nil, zoneWords, 64)
	checkText(r, schedulePath.Child("dayStart"), schedule.DayStart, isClockTime, nil, clockWords, 5)
	windows := schedulePath.Child("windows")
	if len(schedule.Windows) > 50 {
		r.add(field.TooMany(windows, len(schedule.Windows), 50))
	}
	for i, window := range schedule.Windows {
		path := windows.Index(i)
		if len(window.Days) == 0 {
			r.add(field.Required(path.Child("days"), "must have at least 1 item"))
		} else if len(window.Days) > 7 {
			r.add(field.TooMany(path.Child("days"), len(window.Days), 7))
		}
		for place := range window.Days {
			if !slices.Contains(allDays, window.Days[place]) {
				checkChoice(r, path.Child("days").Index(place), &window.Days[place], allDays)
			}
		}
		checkText(r, path.Child("start"), window.Start, isClockTime, nil, clockWords, 5)
		checkText(r, path.Child("end"), window.End, isClockTime, nil, clockWords, 5)
	}
	blackouts := schedulePath.Child("blackouts")
	if len(schedule.Blackouts) > 50 {
		r.add(field.TooMany(blackouts, len(schedule.Blackouts), 50))
	}
	isInstant := func(text string) bool { _, ok := instant(text); return ok }
	for i, blackout := range schedule.Blackouts {
		checkText(r, blackouts.Index(i).Child("from"), blackout.From, isInstant, nil, instantWords, 40)
		checkText(r, blackouts.Index(i).Child("to"), blackout.To, isInstant, nil, instantWords, 40)
	}
}

func checkChoice(r *report, path *field.Path, value *string, choices []string) {
	if value == nil {
		r.add(field.Required(path, ""))
	} else if !slices.Contains(choices, *value) {
		quoted := `"` + strings.Join(choices, `", "`) + `"`
		r.add(&field.Error{
			Type: field.ErrorTypeNotSupported, Field: path.String(), BadValue: shortened(*value),
			Detail: "supported values: " + quoted,
		})
	}
}

// checkText shows `show` in place of the value, if there is one.
func checkText(
	r *report, path *field.Path, value *string, holds func(string) bool, show any, detail string, limit int,
) {
	switch {
	case value == nil:
		r.add(field.Required(path, ""))
	case holds(*value):
	default:
		r.malformed(path, *value, show, detail, limit)
	}
}

func checkQuantity(r *report, path *field.Path, value *v1.Quantity) {
	if value == nil {
		return
	}
	if _, ok := quantity(value.Text); !ok {
		r.invalid(path, value.Written(), quantityWords)
	}
}

func checkDecimal(
	r *report, path *field.Path, value *v1.Decimal, bounded func(*inf.Dec) bool, bounds string,
) {
	if value == nil {
		r.add(field.Required(path, ""))
		return
	}
	text := value.Text
	if !isPlainDecimal(text) {
		r.invalid(path, value.Written(), decimalWords)
		return
	}
	number := decimal(text)
	if number.Sign() <= 0 || (bounded != nil && !bounded(number)) {
		r.invalid(path, value.Written(), fmt.Sprintf("must be greater than 0%s", bounds))
	}
}
