#!/bin/sh
# Create a kind cluster with everything installed, from a container that may use the host's Docker.
# Every step can be repeated: existing objects are kept and updated.
set -eu
cd /src
cluster=${KIND_CLUSTER:-tradingbot}
version=$(sed -n 's/^ *newTag: *//p' config/release/kustomization.yaml)
image=tradingbot-operator:$version
strategies=tradingbot-strategies:$version

if [ ! -S /var/run/docker.sock ]; then
    echo "error: /var/run/docker.sock not found: mount Docker's socket, as compose.yaml does" >&2
    exit 1
fi
if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
    kind create cluster --name "$cluster" --wait 3m
fi
docker build --tag "$image" .
docker build --tag "$strategies" --target strategies .
kind load docker-image --name "$cluster" "$image" "$strategies"

# This container is in Docker's network of the cluster: use the cluster's address there.
mkdir -p /root/.kube
kind get kubeconfig --name "$cluster" --internal > /root/.kube/config

kubectl apply --server-side -k config/selfsigned
kubectl --namespace tradingbot-system wait --for=condition=Available deployment --all --timeout=3m
kubectl apply -k config/samples

# The demo: Secrets with the keys that the exchanges have made, and the bots with their addresses.
secret_of() { # BOT FILE
    YQ_BOT=$1 yq -r '[.keys[] | select(.account == strenv(YQ_BOT))][0].name' "$2" | tr -d '\n' > /tmp/name
    YQ_BOT=$1 yq -r '[.keys[] | select(.account == strenv(YQ_BOT))][0] | (.secret // .private_key)' "$2" \
        > /tmp/secret
    printf %s "$(cat /tmp/secret)" > /tmp/bare
    kubectl create secret generic "$1-keys" --dry-run=client --output=yaml \
        --from-file=api-key=/tmp/name --from-file=api-secret=/tmp/bare |
        kubectl apply --server-side --filename -
    rm /tmp/name /tmp/secret /tmp/bare
}
secret_of arbitrage /keys/binance.yaml
secret_of careless /keys/binance.yaml
secret_of market-maker /keys/binance.yaml
secret_of trend-follower /keys/coinbase.yaml
# The exchanges of config/samples/demo-cluster are containers here.
kubectl kustomize config/samples/demo-cluster |
    yq 'select(.kind == "TradingBot" or .kind == "ConfigMap")' |
    kubectl apply --filename -
kubectl --namespace default get tradingbots

cat <<TEXT

Everything runs in the kind cluster "$cluster". To use it from this machine:
  docker compose exec kind kind get kubeconfig --name $cluster > kubeconfig
  KUBECONFIG=kubeconfig kubectl get tradingbots --all-namespaces --watch
The registry's Swagger UI: https://127.0.0.1:8090/api/v1/docs
To delete the cluster:
  docker compose exec kind kind delete cluster --name $cluster
TEXT

# The registry with its Swagger UI, on the published port; again if the connection ends.
while true; do
    kubectl --namespace tradingbot-system port-forward --address 0.0.0.0 \
        service/tradingbot-registry 8090:8090 >/dev/null || sleep 1
done
