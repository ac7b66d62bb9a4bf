package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	assetWords  = "must be an asset such as USDT: capital letters and digits, at most 20"
	symbolWords = "must be a symbol such as BTC-USDT: the asset that is traded, and the one that it is" +
		" traded for"
)

var (
	dialects        = []string{"Binance", "Coinbase"}
	enforcements    = []string{"Gateway", "Bot"}
	quoteCurrencies = map[string]string{"Binance": "USDT", "Coinbase": "USD"}

	dialectPath     = exchangePath.Child("dialect")
	balancePath     = exchangePath.Child("paperBalance")
	enforcementPath = riskPath.Child("enforcement")
	symbolsPath     = riskPath.Child("allowedSymbols")

	dialectNeeds = []string{
		"spec.riskManagement.enforcement", "spec.exchange.name", "spec.exchange.dialect",
	}
	keptByBotNeeds = []string{
		"spec.riskManagement.enforcement", "spec.exchange.name", "spec.exchange.dialect", "spec.mode",
	}
	symbolNeeds = []string{
		"spec.riskManagement.allowedSymbols", "spec.exchange.quoteCurrency", "spec.exchange.name",
		"spec.exchange.dialect",
	}
	balanceNeeds = []string{
		"spec.exchange.paperBalance", "spec.exchange.quoteCurrency", "spec.exchange.name",
		"spec.exchange.dialect",
	}
)

func checkExchangeOfGateway(r *report, exchange *v1.Exchange) {
	if exchange.Dialect != nil {
		checkChoice(r, dialectPath, exchange.Dialect, dialects)
	}
	if exchange.QuoteCurrency != nil {
		checkText(r, exchangePath.Child("quoteCurrency"), exchange.QuoteCurrency, isAsset, nil, assetWords, 20)
	}
	if exchange.PaperBalance == nil {
		return
	}
	checkSize(r, balancePath, len(exchange.PaperBalance), 20)
	for i := range exchange.PaperBalance {
		item := balancePath.Index(i)
		checkText(r, item.Child("asset"), exchange.PaperBalance[i].Asset, isAsset, nil, assetWords, 20)
		checkDecimal(r, item.Child("amount"), exchange.PaperBalance[i].Amount,
			func(n *inf.Dec) bool { return n.Cmp(trillion) <= 0 }, " and at most 1000000000000")
	}
}

func checkRiskOfGateway(r *report, risk *v1.RiskManagement) {
	checkDecimal(r, riskPath.Child("priceCollarPercentage"), risk.PriceCollarPercentage,
		func(n *inf.Dec) bool { return n.Cmp(hundred) <= 0 }, " and at most 100")
	checkCount(r, riskPath.Child("maxOrdersPerMinute"), *risk.MaxOrdersPerMinute, 100_000)
	if risk.Enforcement != nil {
		checkChoice(r, enforcementPath, risk.Enforcement, enforcements)
	}
	if risk.AllowedSymbols == nil {
		return
	}
	checkSize(r, symbolsPath, len(risk.AllowedSymbols), 100)
	for i := range risk.AllowedSymbols {
		if !isSymbol(risk.AllowedSymbols[i]) {
			r.malformed(symbolsPath.Index(i), risk.AllowedSymbols[i], nil, symbolWords, 41)
		}
	}
}

// isAsset is ^[A-Z0-9]{1,20}$.
func isAsset(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(text) >= 1 && len(text) <= 20
}

func isSymbol(text string) bool {
	base, quote, isPair := strings.Cut(text, "-")
	return isPair && isAsset(base) && isAsset(quote)
}

func gatewayDialect(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	switch {
	case isAnothersDialect(spec.Exchange):
		r.invalid(dialectPath, *spec.Exchange.Dialect, "must be the dialect of the exchange, or unset",
			dialectNeeds...)
	case !hasGateway(spec):
	case dialectOf(spec.Exchange) == "":
		r.add(field.Required(dialectPath, "enforcement: Gateway needs the API that a Custom exchange"+
			" speaks; if that is not Binance, use enforcement: Bot"), dialectNeeds...)
	case dialectOf(spec.Exchange) == "Coinbase":
		r.invalid(enforcementPath, "Gateway", "a gateway in a bot's pod can't speak the API of Coinbase yet;"+
			" use Bot", dialectNeeds...)
	}
}

func allowedSymbols(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	symbols, currency := spec.RiskManagement.AllowedSymbols, quoteCurrencyOf(spec.Exchange)
	for i, symbol := range symbols {
		if slices.Contains(symbols[:i], symbol) {
			r.add(field.Duplicate(symbolsPath.Index(i), symbol), symbolNeeds...)
		}
		base, quote, _ := strings.Cut(symbol, "-")
		if base == quote {
			r.invalid(symbolsPath.Index(i), symbol, "must have two different assets", symbolNeeds...)
		} else if currency != "" && currency != quote && !slices.Contains(symbols, quote+"-"+currency) {
			r.invalid(symbolsPath.Index(i), symbol, fmt.Sprintf("must be traded for %s, the currency of all"+
				" limits (exchange.quoteCurrency), or %s-%s must be allowed too", currency, quote, currency),
				symbolNeeds...)
		}
	}
}

func paperBalance(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	if spec.Exchange.PaperBalance == nil {
		return
	}
	assets := balanceAssets(spec.Exchange)
	for i, asset := range assets {
		if slices.Contains(assets[:i], asset) {
			r.add(field.Duplicate(balancePath.Index(i).Child("asset"), asset), balanceNeeds...)
		}
	}
	if currency := quoteCurrencyOf(spec.Exchange); currency != "" && !slices.Contains(assets, currency) {
		r.add(field.Required(balancePath, fmt.Sprintf("must have an amount of %s, which orders are paid with",
			currency)), balanceNeeds...)
	}
}

// breaksGatewaySchema is for a spec whose every field has the right form.
func breaksGatewaySchema(spec *v1.TradingBotSpec) bool {
	return isAnothersDialect(spec.Exchange) ||
		hasGateway(spec) && dialectOf(spec.Exchange) != "Binance" ||
		hasDoubles(spec.RiskManagement.AllowedSymbols) || hasDoubles(balanceAssets(spec.Exchange))
}

func limitsKeptByBot(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	if spec.Mode != "Live" || hasGateway(spec) {
		return
	}
	detail := "Bot in mode Live: only the bot itself keeps these limits, and it has the keys"
	switch dialectOf(spec.Exchange) {
	case "":
		detail += "; use Gateway, with exchange.dialect, if the exchange speaks the API of Binance"
	case "Binance":
		detail += "; use Gateway"
	}
	r.warn(enforcementPath.String(), detail)
}

// hasGateway: the default is Gateway for Binance, and Bot for other exchanges.
func hasGateway(spec *v1.TradingBotSpec) bool {
	chosen, exchange := spec.RiskManagement.Enforcement, spec.Exchange
	if chosen != nil {
		return *chosen == "Gateway"
	}
	return *exchange.Name == "Binance" && (exchange.Dialect == nil || *exchange.Dialect == "Binance")
}

func isAnothersDialect(exchange *v1.Exchange) bool {
	return *exchange.Name != "Custom" && exchange.Dialect != nil && *exchange.Dialect != *exchange.Name
}

// dialectOf is "" if nothing tells what the exchange speaks.
func dialectOf(exchange *v1.Exchange) string {
	switch {
	case exchange.Dialect != nil:
		return *exchange.Dialect
	case *exchange.Name != "Custom":
		return *exchange.Name
	}
	return ""
}

// quoteCurrencyOf is "" if nothing names the currency of the limits.
func quoteCurrencyOf(exchange *v1.Exchange) string {
	if exchange.QuoteCurrency != nil {
		return *exchange.QuoteCurrency
	}
	return quoteCurrencies[dialectOf(exchange)]
}

func balanceAssets(exchange *v1.Exchange) []string {
	assets := make([]string, len(exchange.PaperBalance))
	for i := range exchange.PaperBalance {
		assets[i] = *exchange.PaperBalance[i].Asset
	}
	return assets
}
