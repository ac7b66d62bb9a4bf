package main

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	phaseStopping            = "Stopping"
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
	available := isRunning(live.pods, live.deployment)
	stopping := stopped && len(live.pods)+int(*live.deployment.Spec.Replicas) > 0
	status := &bot.Status
	status.Phase = phaseOf(bot, secret, stopping, available)
	status.ObservedGeneration = bot.Generation
	status.ConfigHash = config.ConfigHash
	status.Effective = effectiveOf(bot.Spec)
	status.DeployedResources = []v1.DeployedResource{
		{APIVersion: "v1", Kind: "ConfigMap", Name: live.configMap.Name, Ready: true},
		{APIVersion: "apps/v1", Kind: "Deployment", Name: live.deployment.Name, Ready: stopped || available},
		{APIVersion: "v1", Kind: "Service", Name: live.service.Name, Ready: true},
	}
	status.Risk = &v1.RiskStatus{TradingDay: day, DayEndsAt: metav1.NewTime(ends)}
	status.Schedule = &v1.ScheduleStatus{Open: true}
	for _, condition := range conditionsOf(bot, secret, stopped, stopping, available) {
		condition.ObservedGeneration = bot.Generation
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	if meta.IsStatusConditionTrue(status.Conditions, "Ready") {
		meta.RemoveStatusCondition(&status.Conditions, "Reconciling")
	}
	return ends, nil
}

func phaseOf(bot *v1.TradingBot, secret credentials, stopping, available bool) string {
	switch {
	case stopping:
		return phaseStopping
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
func conditionsOf(bot *v1.TradingBot, secret credentials, stopped, stopping, available bool) []metav1.Condition {
	running := !stopped && available
	credentialsReady := isTrue("CredentialsReady", "CredentialsFound", "The Secret has all keys")
	if secret.problem != nil {
		credentialsReady = *secret.problem
		credentialsReady.Type = "CredentialsReady"
	}
	reported := unknown("RiskReported", "NotRunning", "The bot is not running")
	if running {
		reported = unknown("RiskReported", "NoReport", "No report received yet: the first poll is pending")
	}
	applied := unknown("ConfigApplied", "NoReport", "The bot does not report its configHash")
	if stopped {
		applied = unknown("ConfigApplied", "NotRunning", "The bot is not running")
	}
	blocked := isFalse("StopBlocked", "NotStopping", "The bot does not have to stop")
	if stopped {
		blocked = isFalse("StopBlocked", "Stopped", "No pod of the bot is left")
	}
	if stopping {
		blocked = unknown("StopBlocked", "Stopping", "The bot must stop and has a pod")
	}
	trading := isFalse("Trading", "NotRunning", "No pod of the bot runs")
	if available {
		trading = isTrue("Trading", "Available", "A pod of the bot runs and is ready")
	}
	ready := readyOf(bot, secret, stopping, running)
	conditions := []metav1.Condition{
		ready,
		trading,
		credentialsReady,
		applied,
		isFalse("RolloutPending", "NothingWaits", "No change is waiting for a restart"),
		isTrue("ScheduleOpen", "WithinHours", "Open"),
		isFalse("RiskHalted", "WithinLimit", "No report has reached dailyLossLimit"),
		reported,
		unknown("RegistrySynced", "RegistryOff", "No registry is configured"),
		isTrue("ChildrenApplied", "Applied", "All children are as declared"),
		blocked,
	}
	if ready.Status != metav1.ConditionTrue {
		conditions = append(conditions, isTrue("Reconciling", ready.Reason, ready.Message))
	}
	return conditions
}

func readyOf(bot *v1.TradingBot, secret credentials, stopping, running bool) metav1.Condition {
	switch {
	case stopping:
		return isFalse("Ready", "Stopping", "The bot must stop and has a pod")
	case *bot.Spec.Paused:
		return isTrue("Ready", "Paused", "spec.paused is true; set it to false to run the bot")
	case secret.problem != nil:
		return isFalse("Ready", secret.problem.Reason, secret.problem.Message)
	case running:
		return isTrue("Ready", "Available", "The bot's pod is available")
	}
	return isFalse("Ready", "NotAvailable", "The bot's pod is not available yet; to see why: kubectl describe pod"+
		" -n "+bot.Namespace+" -l trading.io/bot="+bot.Name)
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

func effectiveOf(spec *v1.TradingBotSpec) *v1.Effective {
	requests := spec.EffectiveRequests()
	return &v1.Effective{
		RiskManagement: v1.EffectiveRiskManagement{
			TakeProfitPercentage: spec.EffectiveRisk().TakeProfitPercentage.Text,
			Enforcement:          "Bot", // the peer has no gateway to add
		},
		Resources: v1.EffectiveResources{
			Requests: v1.EffectiveRequests{CPU: requests.CPU.Text, Memory: requests.Memory.Text},
		},
	}
}
