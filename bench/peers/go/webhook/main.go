// Command webhook is an admission webhook server for trading.io/v1 as one would write it in Go
// today: typed objects, controller-runtime's Defaulter and Validator, its webhook server with the
// settings that kubebuilder scaffolds (HTTP/2 off), JSON logs.
//
// It has the rules, defaults, warnings and messages of api/tradingbot_api. It leaves out unknown
// fields, which the API server prunes before it asks a webhook.
package main

import (
	"crypto/tls"
	"flag"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	v1 "tradingbot/bench/peers/go/api/v1"
)

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 9443, "port to listen on")
	certDir := flag.String("cert-dir", "", "directory with tls.crt and tls.key")
	flag.Parse()

	ctrl.SetLogger(zap.New(zap.UseDevMode(false)))
	log := ctrl.Log.WithName("peer")

	scheme := runtime.NewScheme()
	utilruntime.Must(v1.AddToScheme(scheme))

	server := webhook.NewServer(webhook.Options{
		Host:    *host,
		Port:    *port,
		CertDir: *certDir,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
	})
	bots, registries := &TradingBotWebhook{}, &AssetRegistryWebhook{}
	server.Register("/mutate-trading-io-v1-tradingbot",
		admission.WithDefaulter[*v1.TradingBot](scheme, bots))
	server.Register("/validate-trading-io-v1-tradingbot",
		admission.WithValidator[*v1.TradingBot](scheme, bots))
	server.Register("/mutate-trading-io-v1-assetregistry",
		admission.WithDefaulter[*v1.AssetRegistry](scheme, registries))
	server.Register("/validate-trading-io-v1-assetregistry",
		admission.WithValidator[*v1.AssetRegistry](scheme, registries))

	if err := server.Start(ctrl.SetupSignalHandler()); err != nil {
		log.Error(err, "the server ended")
		os.Exit(1)
	}
}
