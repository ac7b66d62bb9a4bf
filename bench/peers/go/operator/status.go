package main

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	phasePaused              = "Paused"
	phaseAwaitingCredentials = "AwaitingCredentials"
	phaseRunning             = "Running"
	phasePending             = "Pending"
)

// setStatus says of the bot how it is, and returns when its trading day ends.
func setStatus(bot *v1.TradingBot, live children, secret credentials, now time.Time) (time.Time, error) {
	day, ends, err := tradingDay(bot.Spec.Schedule, now)
	if err != nil {
		return ends, err
	}
	config, err := configOf(bot)
	if err != nil {
		return ends, err
	}
	stopped := *bot.Spec.Paused || secret.problem != nil
	available := isAvailable(live.deployment)
	status := &bot.Status
	status.Phase = phaseOf(bot, secret, available)
	status.ObservedGeneration = bot.Generation
	status.ConfigHash = config.ConfigHash
	status.DeployedResources = []v1.DeployedResource{
		{APIVersion: "v1", Kind: "ConfigMap", Name: live.configMap.Name, Ready: true},
		{APIVersion: "apps/v1", Kind: "Deployment", Name: live.deployment.Name, Ready: stopped || available},
		{APIVersion: "v1", Kind: "Service", Name: live.service.Name, Ready: true},
	}
	status.Risk = &v1.RiskStatus{TradingDay: day, DayEndsAt: metav1.NewTime(ends)}
	status.Schedule = &v1.ScheduleStatus{Open: true}
	for _, condition := range conditionsOf(bot, secret, stopped, available) {
		condition.ObservedGeneration = bot.Generation
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	return ends, nil
}

func phaseOf(bot *v1.TradingBot, secret credentials, available bool) string {
	switch {
	case *bot.Spec.Paused:
		return phasePaused
	case secret.problem != nil:
		return phaseAwaitingCredentials
	case available:
		return phaseRunning
	}
	return phasePending
}

// conditionsOf are all conditions. Those about reports are as of a bot that makes none.
func conditionsOf(bot *v1.TradingBot, secret credentials, stopped, available bool) []metav1.Condition {
	running := !stopped && available
	credentialsReady := isTrue("CredentialsReady", "CredentialsFound", "the Secret has both keys")
	if secret.problem != nil {
		credentialsReady = *secret.problem
		credentialsReady.Type = "CredentialsReady"
	}
	reported := unknown("RiskReported", "NotRunning", "the bot does not run")
	if running {
		reported = unknown("RiskReported", "NoReport", "no report has come yet: it is about to be asked")
	}
	applied := unknown("ConfigApplied", "NoReport", "the bot does not report what it runs with")
	if stopped {
		applied = unknown("ConfigApplied", "NotRunning", "the bot does not run")
	}
	return []metav1.Condition{
		readyOf(bot, secret, running),
		credentialsReady,
		applied,
		isFalse("RolloutPending", "NothingWaits", "no change waits for a restart"),
		isTrue("ScheduleOpen", "WithinHours", "open"),
		isFalse("RiskHalted", "WithinLimit", "no report has reached dailyLossLimit"),
		reported,
		unknown("RegistrySynced", "RegistryOff", "no registry is configured"),
	}
}

func readyOf(bot *v1.TradingBot, secret credentials, running bool) metav1.Condition {
	switch {
	case *bot.Spec.Paused:
		return isFalse("Ready", "Paused", "spec.paused is true; set it to false to run the bot")
	case secret.problem != nil:
		return isFalse("Ready", secret.problem.Reason, secret.problem.Message)
	case running:
		return isTrue("Ready", "Available", "the bot's pod is available")
	}
	return isFalse("Ready", "NotAvailable", "the bot's pod is not available yet; kubectl describe pod"+
		" -n "+bot.Namespace+" -l trading.io/bot="+bot.Name+" says why")
}

func isTrue(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
}

func isFalse(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

func unknown(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: reason, Message: message}
}

// isAvailable also asks that the available pod is of the template as it was declared last.
func isAvailable(deployment *appsv1.Deployment) bool {
	status := deployment.Status
	return status.ObservedGeneration == deployment.Generation &&
		status.UpdatedReplicas > 0 && status.AvailableReplicas > 0
}

// tradingDay is the day's date, and when the next one begins.
func tradingDay(schedule *v1.Schedule, now time.Time) (string, time.Time, error) {
	zone, err := time.LoadLocation(*schedule.TimeZone)
	if err != nil {
		return "", time.Time{}, err
	}
	start, err := time.Parse("15:04", *schedule.DayStart)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("dayStart: %w", err)
	}
	local := now.In(zone)
	begins := func(days int) time.Time {
		return time.Date(local.Year(), local.Month(), local.Day()+days, start.Hour(), start.Minute(), 0, 0, zone)
	}
	today := begins(0)
	if local.Before(today) {
		return begins(-1).Format(time.DateOnly), today.UTC(), nil
	}
	return today.Format(time.DateOnly), begins(1).UTC(), nil
}
