package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	fieldManager   = "tradingbot-operator"
	finalizer      = "trading.io/cleanup"
	managedByLabel = "app.kubernetes.io/managed-by"
	podPoll        = 500 * time.Millisecond

	credentialsAnnotation = "trading.io/credentials"
)

var errWindows = errors.New("this operator runs only bots that are always open")

// BotReconciler reconciles a bot's children and its status.
type BotReconciler struct {
	client.Client
	Uncached            client.Reader
	Recorder            events.EventRecorder
	CredentialsInterval time.Duration

	reconciled sync.Map // the bots by UID, since this process has started
}

func (r *BotReconciler) SetupWithManager(manager ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(manager).
		For(&v1.TradingBot{}, builder.WithPredicates(predicate.Or[client.Object](
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Owns(&corev1.ConfigMap{}).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}).
		Watches(&corev1.Pod{}, ofBot).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

func (r *BotReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	bot := &v1.TradingBot{}
	if err := r.Get(ctx, request.NamespacedName, bot); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !bot.DeletionTimestamp.IsZero() {
		return r.cleanUp(ctx, bot)
	}
	if schedule := bot.Spec.Schedule; len(schedule.Windows)+len(schedule.Blackouts) > 0 {
		return ctrl.Result{}, reconcile.TerminalError(errWindows)
	}
	if err := r.setFinalizer(ctx, bot, controllerutil.AddFinalizer); err != nil {
		return ctrl.Result{}, err
	}
	secret, err := r.credentialsOf(ctx, bot)
	if err != nil {
		return ctrl.Result{}, err
	}
	live, err := r.apply(ctx, bot, secret)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := time.Now()
	before := bot.DeepCopy()
	dayEnds, err := setStatus(bot, live, secret, now)
	if err != nil {
		return ctrl.Result{}, reconcile.TerminalError(err)
	}
	if !equality.Semantic.DeepEqual(before.Status, bot.Status) {
		if err := r.Status().Patch(ctx, bot, client.MergeFrom(before), client.FieldOwner(fieldManager)); err != nil {
			return ctrl.Result{}, err
		}
		r.recordTransitions(before, bot)
	}
	return ctrl.Result{RequeueAfter: min(r.CredentialsInterval, dayEnds.Sub(now))}, nil
}

// setFinalizer adds or removes the finalizer; a conflict if the bot has changed since it was read.
func (r *BotReconciler) setFinalizer(
	ctx context.Context, bot *v1.TradingBot, change func(client.Object, string) bool,
) error {
	before := bot.DeepCopy()
	if !change(bot, finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return r.Patch(ctx, bot, patch, client.FieldOwner(fieldManager))
}

// credentials are what is known of a bot's Secret, and never a value.
type credentials struct {
	version string
	record  string
	problem *metav1.Condition
}

// credentialsRecord is what a Deployment says of the Secret that it was made with.
type credentialsRecord struct {
	Secret  string   `json:"secret"`
	Version string   `json:"version"`
	Keys    []string `json:"keys"`
}

// credentialsOf takes over, the first time, what the operator before this one has recorded.
func (r *BotReconciler) credentialsOf(ctx context.Context, bot *v1.TradingBot) (credentials, error) {
	if _, known := r.reconciled.LoadOrStore(bot.UID, true); known {
		return r.lookForCredentials(ctx, bot)
	}
	deployment := &appsv1.Deployment{}
	if err := r.Get(ctx, client.ObjectKeyFromObject(bot), deployment); client.IgnoreNotFound(err) != nil {
		return credentials{}, err
	}
	text := deployment.Annotations[credentialsAnnotation]
	var record credentialsRecord
	exchange := bot.Spec.Exchange
	if json.Unmarshal([]byte(text), &record) == nil && record.Secret == *exchange.APIKeySecret &&
		slices.Contains(record.Keys, *exchange.APIKeyPath) && slices.Contains(record.Keys, *exchange.APISecretPath) {
		return credentials{version: record.Version, record: text}, nil
	}
	return r.lookForCredentials(ctx, bot)
}

// lookForCredentials reads the one Secret past the cache, which would list and watch all of them.
func (r *BotReconciler) lookForCredentials(ctx context.Context, bot *v1.TradingBot) (credentials, error) {
	exchange := bot.Spec.Exchange
	secret := &corev1.Secret{}
	err := r.Uncached.Get(ctx, client.ObjectKey{Namespace: bot.Namespace, Name: *exchange.APIKeySecret}, secret)
	if apierrors.IsNotFound(err) {
		return credentials{problem: notReady("SecretNotFound",
			fmt.Sprintf("Secret %q not found; the bot starts after it is created", *exchange.APIKeySecret))}, nil
	}
	if err != nil {
		return credentials{}, err
	}
	found := credentials{version: secret.ResourceVersion}
	keys := keysOf(exchange)
	for _, key := range keys {
		if _, ok := secret.Data[key]; !ok {
			found.problem = notReady("KeyNotFound",
				fmt.Sprintf("Secret %q has no key %q; the bot starts after it is added", secret.Name, key))
			return found, nil
		}
	}
	slices.Sort(keys)
	record, err := json.Marshal(credentialsRecord{Secret: secret.Name, Version: found.version, Keys: keys})
	found.record = string(record)
	return found, err
}

// keysOf are the keys of the Secret that a bot needs.
func keysOf(exchange *v1.Exchange) []string {
	keys := []string{*exchange.APIKeyPath, *exchange.APISecretPath}
	if exchange.PassphrasePath != nil {
		keys = append(keys, *exchange.PassphrasePath)
	}
	return keys
}

func notReady(reason, message string) *metav1.Condition {
	return &metav1.Condition{Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// children are a bot's, as they are.
type children struct {
	configMap  *corev1.ConfigMap
	deployment *appsv1.Deployment
	service    *corev1.Service
	pods       []corev1.Pod // the newest first
}

// apply applies the children, and writes only those that differ from the existing objects.
func (r *BotReconciler) apply(ctx context.Context, bot *v1.TradingBot, secret credentials) (children, error) {
	configMap, err := configMapOf(bot)
	if err != nil {
		return children{}, err
	}
	deployment, err := deploymentOf(bot, secret)
	if err != nil {
		return children{}, err
	}
	service := serviceOf(bot)
	var live children
	if live.configMap, err = applyOne(ctx, r, bot, configMap, &corev1.ConfigMap{}, sameConfigMap); err != nil {
		return live, err
	}
	if live.deployment, err = applyOne(ctx, r, bot, deployment, &appsv1.Deployment{}, sameDeployment); err != nil {
		return live, err
	}
	if live.service, err = applyOne(ctx, r, bot, service, &corev1.Service{}, sameService); err != nil {
		return live, err
	}
	live.pods, err = r.podsOf(ctx, live.deployment)
	return live, err
}

func applyOne[T client.Object](
	ctx context.Context, r *BotReconciler, bot *v1.TradingBot, desired, live T, same func(desired, live T) bool,
) (T, error) {
	change := "changed"
	err := r.Get(ctx, client.ObjectKeyFromObject(desired), live)
	switch {
	case apierrors.IsNotFound(err):
		change = "deleted"
	case err != nil:
		return live, err
	case !metav1.IsControlledBy(live, bot):
		return live, fmt.Errorf("%s is not owned by this bot", desired.GetName())
	case same(desired, live) && sameMeta(desired, live):
		return live, nil
	}
	//nolint:staticcheck // The way with apply configurations has no typed object to compare with.
	if err := r.Patch(ctx, desired, client.Apply, client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return live, err
	}
	if bot.Status.ObservedGeneration == bot.Generation {
		r.Recorder.Eventf(bot, nil, corev1.EventTypeNormal, "DriftCorrected", "Apply",
			"Restored %s, which was %s", desired.GetName(), change)
	}
	return desired, nil
}

// cleanUp stops the bot and waits for its pod to go; owner references take the rest.
func (r *BotReconciler) cleanUp(ctx context.Context, bot *v1.TradingBot) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(bot, finalizer) {
		return ctrl.Result{}, nil
	}
	deployment := &appsv1.Deployment{}
	err := r.Get(ctx, client.ObjectKeyFromObject(bot), deployment)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	if err == nil && metav1.IsControlledBy(deployment, bot) && *deployment.Spec.Replicas > 0 {
		patch := client.MergeFrom(deployment.DeepCopy())
		*deployment.Spec.Replicas = 0
		if err := r.Patch(ctx, deployment, patch, client.FieldOwner(fieldManager)); err != nil {
			return ctrl.Result{}, err
		}
	}
	pods := &corev1.PodList{}
	err = r.Uncached.List(ctx, pods, client.InNamespace(bot.Namespace), client.MatchingLabels(selectorOf(bot)))
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(pods.Items) > 0 {
		return ctrl.Result{RequeueAfter: podPoll}, nil
	}
	return ctrl.Result{}, r.setFinalizer(ctx, bot, controllerutil.RemoveFinalizer)
}

func (r *BotReconciler) recordTransitions(before, bot *v1.TradingBot) {
	old, phase := before.Status, bot.Status.Phase
	record := func(kind, reason, note string) {
		r.Recorder.Eventf(bot, nil, kind, reason, "Reconcile", "%s", note)
	}
	switch {
	case old.Phase == "":
		record(corev1.EventTypeNormal, "Created", "Started managing this bot")
	case old.ConfigHash != bot.Status.ConfigHash:
		record(corev1.EventTypeNormal, "Updated", "The declared configuration is now "+bot.Status.ConfigHash)
	}
	switch {
	case phase == old.Phase:
	case phase == phasePaused:
		record(corev1.EventTypeNormal, "Paused", "The bot is paused")
	case phase == phaseAwaitingCredentials:
		record(corev1.EventTypeWarning, "CredentialsMissing", "The bot has no credentials")
	case old.Phase == phasePaused || old.Phase == phaseAwaitingCredentials:
		record(corev1.EventTypeNormal, "Resumed", "The bot left phase "+old.Phase)
	}
}
