"""Print the Secrets of the demo's bots, in the pod of an exchange, which has made the keys:

kubectl exec -i deploy/binance -- python - < secrets.py | kubectl apply --server-side -f -
"""

import json
from pathlib import Path

import yaml

found: dict[str, dict[str, str]] = {}
for key in yaml.safe_load(Path("/keys/keys.yaml").read_text())["keys"]:
    found.setdefault(key["account"], key)  # the first key of each account
for account, key in found.items():
    values = {"api-key": key["name"], "api-secret": key.get("secret") or key["private_key"]}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{account}-keys"},
        "stringData": values,
    }
    print("---", json.dumps(secret), sep="\n")
