// Command operator runs trading bots as one would write it in Go today: controller-runtime with
// cached reads, server-side apply for the three children, conditions, a finalizer, events.
//
// It does what this project's operator does for a bot in Paper mode that is always open and reports
// no risk: the same children, the same status. What it leaves out makes it do less: checking and
// defaulting the stored spec once more, schedules with windows, halts, restarts that wait, and the
// registry.
package main

import (
	"flag"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "tradingbot/bench/peers/go/api/v1"
)

func main() {
	metricsAddress := flag.String("metrics-bind-address", "127.0.0.1:8080", "where /metrics is served")
	probeAddress := flag.String("health-probe-bind-address", "127.0.0.1:8081", "where /readyz is served")
	workers := flag.Int("workers", 10, "maximum number of concurrent reconciles")
	leaderElect := flag.Bool("leader-elect", false, "work only while holding the Lease")
	namespace := flag.String("leader-election-namespace", "tradingbot-system", "where the Lease is")
	credentials := flag.Duration("credentials-interval", time.Minute, "time between two polls of a bot's Secret")
	flag.Parse()

	ctrl.SetLogger(zap.New(zap.UseDevMode(false)))
	log := ctrl.Log.WithName("peer")

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1.AddToScheme(scheme))

	replicaSet := &metav1.PartialObjectMetadata{}
	replicaSet.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	children := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{managedByLabel: fieldManager})}
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: *metricsAddress},
		HealthProbeBindAddress:        *probeAddress,
		LeaderElection:                *leaderElect,
		LeaderElectionID:              "tradingbot-operator-peer",
		LeaderElectionNamespace:       *namespace,
		LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.ConfigMap{}:  children,
				&corev1.Service{}:    children,
				&appsv1.Deployment{}: children,
				&corev1.Pod{}:        children,
				replicaSet:           children,
			},
		},
		// Without it, a reconcile that follows a write closely would not see it, and write again.
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
	})
	if err != nil {
		log.Error(err, "the manager can't be made")
		os.Exit(1)
	}
	reconciler := &BotReconciler{
		Client:              manager.GetClient(),
		Uncached:            manager.GetAPIReader(),
		Recorder:            manager.GetEventRecorder(fieldManager),
		CredentialsInterval: *credentials,
	}
	if err := reconciler.SetupWithManager(manager, *workers); err != nil {
		log.Error(err, "the controller can't be made")
		os.Exit(1)
	}
	utilruntime.Must(manager.AddHealthzCheck("healthz", healthz.Ping))
	utilruntime.Must(manager.AddReadyzCheck("readyz", healthz.Ping))
	if err := manager.Start(ctrl.SetupSignalHandler()); err != nil {
		log.Error(err, "the manager ended")
		os.Exit(1)
	}
}
