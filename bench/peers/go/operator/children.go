package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	configKey   = "bot.json"
	configPath  = "/etc/tradingbot"
	port        = 8080
	graceSecs   = 30
	userID      = 65532
	restartHash = "trading.io/restart-hash"
	botLabel    = "trading.io/bot"
	nameLabel   = "app.kubernetes.io/name"
)

// botConfig is bot.json.
type botConfig struct {
	SchemaVersion string             `json:"schemaVersion"`
	Namespace     string             `json:"namespace"`
	Name          string             `json:"name"`
	Strategy      *v1.Strategy       `json:"strategy"`
	Exchange      exchangeConfig     `json:"exchange"`
	Mode          string             `json:"mode"`
	Risk          *v1.RiskManagement `json:"risk"`
	Schedule      *v1.Schedule       `json:"schedule"`
	ConfigHash    string             `json:"configHash,omitempty"`
}

// exchangeConfig names no credentials.
type exchangeConfig struct {
	Name    *string `json:"name"`
	BaseURL *string `json:"baseURL,omitempty"`
}

func configOf(bot *v1.TradingBot) (botConfig, error) {
	spec := bot.Spec
	config := botConfig{
		SchemaVersion: "v1",
		Namespace:     bot.Namespace,
		Name:          bot.Name,
		Strategy:      spec.Strategy,
		Exchange:      exchangeConfig{Name: spec.Exchange.Name, BaseURL: spec.Exchange.BaseURL},
		Mode:          spec.Mode,
		Risk:          spec.EffectiveRisk(),
		Schedule:      spec.Schedule,
	}
	var err error
	config.ConfigHash, err = digest(config)
	return config, err
}

func digest(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:16], nil
}

func labelsOf(bot *v1.TradingBot) map[string]string {
	return map[string]string{
		nameLabel:                     "tradingbot",
		"app.kubernetes.io/instance":  bot.Name,
		managedByLabel:                fieldManager,
		"app.kubernetes.io/part-of":   "tradingbot-operator",
		"app.kubernetes.io/component": "bot",
		botLabel:                      bot.Name,
	}
}

func selectorOf(bot *v1.TradingBot) map[string]string {
	return map[string]string{nameLabel: "tradingbot", botLabel: bot.Name}
}

func metaOf(bot *v1.TradingBot, name string) metav1.ObjectMeta {
	owner := metav1.NewControllerRef(bot, v1.GroupVersion.WithKind("TradingBot"))
	return metav1.ObjectMeta{
		Name:            name,
		Namespace:       bot.Namespace,
		Labels:          labelsOf(bot),
		OwnerReferences: []metav1.OwnerReference{*owner},
	}
}

func configMapOf(bot *v1.TradingBot) (*corev1.ConfigMap, error) {
	config, err := configOf(bot)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, err
	}
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metaOf(bot, bot.Name+"-config"),
		Data:       map[string]string{configKey: string(text) + "\n"},
	}, nil
}

func serviceOf(bot *v1.TradingBot) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metaOf(bot, bot.Name),
		Spec: corev1.ServiceSpec{
			Selector: selectorOf(bot),
			Ports: []corev1.ServicePort{{
				Name: "http", Port: port, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
}

func deploymentOf(bot *v1.TradingBot, secret credentials) (*appsv1.Deployment, error) {
	template, err := podOf(bot, secret.version)
	if err != nil {
		return nil, err
	}
	replicas := int32(1)
	if secret.problem != nil || *bot.Spec.Paused {
		replicas = 0
	}
	meta := metaOf(bot, bot.Name)
	if secret.record != "" {
		meta.Annotations = map[string]string{credentialsAnnotation: secret.record}
	}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Selector: &metav1.LabelSelector{MatchLabels: selectorOf(bot)},
			Template: template,
		},
	}, nil
}

// podOf is the bot's pod, and carries a hash of all that it has to be restarted for.
func podOf(bot *v1.TradingBot, secretVersion string) (corev1.PodTemplateSpec, error) {
	container, err := containerOf(bot.Spec)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	pod := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labelsOf(bot)},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To(int64(graceSecs)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To(int64(userID)),
				RunAsGroup:     ptr.To(int64(userID)),
				FSGroup:        ptr.To(int64(userID)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{container},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: bot.Name + "-config"},
				}}},
				{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
					SizeLimit: ptr.To(resource.MustParse("64Mi")),
				}}},
			},
		},
	}
	spec := bot.Spec
	hash, err := digest([]any{spec.Strategy, spec.Exchange, spec.Mode, spec.Resources, secretVersion, pod})
	pod.Annotations = map[string]string{restartHash: hash}
	return pod, err
}

func containerOf(spec *v1.TradingBotSpec) (corev1.Container, error) {
	limits, err := amounts(spec.Resources.Limits)
	if err != nil {
		return corev1.Container{}, err
	}
	requests, err := amounts(spec.EffectiveRequests())
	if err != nil {
		return corev1.Container{}, err
	}
	secret := func(name string, key *string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: *spec.Exchange.APIKeySecret}, Key: *key,
		}}}
	}
	env := []corev1.EnvVar{
		secret("EXCHANGE_API_KEY", spec.Exchange.APIKeyPath),
		secret("EXCHANGE_API_SECRET", spec.Exchange.APISecretPath),
	}
	if spec.Exchange.PassphrasePath != nil {
		env = append(env, secret("EXCHANGE_API_PASSPHRASE", spec.Exchange.PassphrasePath))
	}
	return corev1.Container{
		Name:      "bot",
		Image:     *spec.Strategy.Image,
		Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: port, Protocol: corev1.ProtocolTCP}},
		Env:       append(env, corev1.EnvVar{Name: "TRADINGBOT_CONFIG", Value: configPath + "/" + configKey}),
		Resources: corev1.ResourceRequirements{Limits: limits, Requests: requests},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false),
			ReadOnlyRootFilesystem:   ptr.To(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "config", MountPath: configPath, ReadOnly: true},
			{Name: "tmp", MountPath: "/tmp"},
		},
	}, nil
}

func amounts(stored *v1.ResourceAmounts) (corev1.ResourceList, error) {
	cpu, err := resource.ParseQuantity(stored.CPU.Text)
	if err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	memory, err := resource.ParseQuantity(stored.Memory.Text)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	return corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory}, nil
}

// What the API server fills in besides is nobody's declaration: a derivative may have more.

func sameMeta(desired, live client.Object) bool {
	return equality.Semantic.DeepDerivative(desired.GetLabels(), live.GetLabels()) &&
		equality.Semantic.DeepDerivative(desired.GetAnnotations(), live.GetAnnotations()) &&
		equality.Semantic.DeepDerivative(desired.GetOwnerReferences(), live.GetOwnerReferences())
}

func sameConfigMap(desired, live *corev1.ConfigMap) bool {
	return equality.Semantic.DeepDerivative(desired.Data, live.Data)
}

func sameDeployment(desired, live *appsv1.Deployment) bool {
	return equality.Semantic.DeepDerivative(desired.Spec, live.Spec)
}

func sameService(desired, live *corev1.Service) bool {
	return equality.Semantic.DeepDerivative(desired.Spec, live.Spec)
}
