#!/bin/sh
# Create a kind cluster with everything installed, from a container that may use the host's Docker.
# Every step can be repeated: existing objects are kept and updated.
set -eu
cd /src
cluster=${KIND_CLUSTER:-tradingbot}
image=tradingbot-operator:$(sed -n 's/^ *newTag: *//p' config/release/kustomization.yaml)

if [ ! -S /var/run/docker.sock ]; then
    echo "error: /var/run/docker.sock not found: mount Docker's socket, as compose.yaml does" >&2
    exit 1
fi
if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
    kind create cluster --name "$cluster" --wait 3m
fi
docker build --tag "$image" .
kind load docker-image --name "$cluster" "$image"

# Join Docker's network of the cluster, and use the cluster's address there.
docker network connect kind "$(hostname)" 2>/dev/null || true
mkdir -p /root/.kube
kind get kubeconfig --name "$cluster" --internal > /root/.kube/config

kubectl apply --server-side -k config/selfsigned
kubectl --namespace tradingbot-system wait --for=condition=Available deployment --all --timeout=3m
kubectl apply -k config/samples
kubectl --namespace default get tradingbots

cat <<TEXT

Everything runs in the kind cluster "$cluster". To use it from this machine:
  docker compose run --rm --entrypoint kind kind get kubeconfig --name $cluster > kubeconfig
  KUBECONFIG=kubeconfig kubectl get tradingbots --all-namespaces
To delete the cluster:
  docker compose run --rm --entrypoint kind kind delete cluster --name $cluster
TEXT
