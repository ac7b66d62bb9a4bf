"""Bots in a kustomization: what is generated reaches the pod, under the name that it has."""

import os
from pathlib import Path

import yaml
from person import SAMPLES, Object, Person, eventually, sample_bot

COMPONENT = SAMPLES.parent / "kustomize"
BOT = "desk-arb-bot-binance"
KINDS = {"secretKeyRef": "secret", "configMapKeyRef": "configmap", "secretRef": "secret"}


def test_generated_secrets_images_and_a_prefix_reach_the_pod(
    person: Person, tmp_path: Path
) -> None:
    """A new value gives a new name, and with that the pod gets the new value."""
    applied(person, kustomization(tmp_path, token="old"))
    bot = person.await_phase(BOT, "Running")
    pod = template(person)["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "mirror.example/arbitrage:1.4.2"
    assert pod["imagePullSecrets"] == bot["spec"]["pod"]["imagePullSecrets"]
    named = names(pod)
    assert {name.rpartition("-")[0] for _, name in named} == {
        *("desk-binance-creds", "desk-telegram", "desk-settings", "desk-models"),
        *("desk-company-ca", "desk-registry-login"),
    }
    for kind, name in named:
        assert person.get(kind, name) is not None, (kind, name)
    assert template(person)["metadata"]["labels"]["team"] == "arbitrage"

    applied(person, kustomization(tmp_path, token="new"))

    def followed() -> bool:
        changed = names(template(person)["spec"]) ^ named
        assert {(kind, name.rpartition("-")[0]) for kind, name in changed} == {
            ("secret", "desk-telegram")
        }
        return all(person.get(kind, name) for kind, name in changed)

    eventually(followed)
    person.await_phase(BOT, "Running")


def kustomization(directory: Path, *, token: str) -> Path:
    bot = sample_bot(
        strategy={"type": "Arbitrage", "image": "arbitrage"},
        exchange={
            "name": "Binance",
            "apiKeySecret": "binance-creds",
            "caBundle": {"name": "company-ca"},
        },
        pod={
            "imagePullSecrets": [{"name": "registry-login"}],
            "env": [
                {"name": "BOT_TOKEN", "valueFrom": secret_key("telegram")},
                {"name": "REGION", "valueFrom": config_map_key("settings")},
            ],
            "envFrom": [{"secretRef": {"name": "telegram"}}],
            "files": [{"mountPath": "/models", "configMap": {"name": "models"}}],
        },
        updatePolicy="Immediate",
    )
    found = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "components": [os.path.relpath(COMPONENT, directory.resolve())],
        "resources": ["bot.yaml"],
        "namePrefix": "desk-",
        "images": [{"name": "arbitrage", "newName": "mirror.example/arbitrage", "newTag": "1.4.2"}],
        "labels": [{"pairs": {"team": "arbitrage"}, "includeTemplates": True}],
        "secretGenerator": [
            generated("binance-creds", "api-key=not-a-real-key", "api-secret=not-a-real-secret"),
            generated("telegram", f"token={token}"),
            {
                **generated("registry-login", '.dockerconfigjson={"auths":{}}'),
                "type": "kubernetes.io/dockerconfigjson",
            },
        ],
        "configMapGenerator": [
            generated("settings", "region=eu"),
            generated("models", "spread=1"),
            generated("company-ca", "ca.crt=not-a-real-certificate"),
        ],
    }
    (directory / "bot.yaml").write_text(yaml.safe_dump(bot))
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(found))
    return directory


def generated(name: str, *literals: str) -> Object:
    return {"name": name, "literals": list(literals)}


def secret_key(name: str) -> Object:
    return {"secretKeyRef": {"name": name, "key": "token"}}


def config_map_key(name: str) -> Object:
    return {"configMapKeyRef": {"name": name, "key": "region"}}


def applied(person: Person, folder: Path) -> None:
    done = person.kubectl("apply", "--server-side", "-k", str(folder))
    assert done.returncode == 0, done.stderr


def template(person: Person) -> Object:
    deployment = person.get("deployment", BOT)
    assert deployment is not None
    found: Object = deployment["spec"]["template"]
    return found


def names(pod: Object) -> set[tuple[str, str]]:
    """Return kind and name of each Secret and ConfigMap of a pod, but for the bot's own."""
    (container,) = pod["containers"]
    found = {("secret", reference["name"]) for reference in pod["imagePullSecrets"]}
    for source in [v.get("valueFrom", {}) for v in container["env"]] + container["envFrom"]:
        found |= {(KINDS[how], where["name"]) for how, where in source.items() if how in KINDS}
    for volume in pod["volumes"]:
        if "configMap" in volume:
            found.add(("configmap", volume["configMap"]["name"]))
    return {(kind, name) for kind, name in found if name != f"{BOT}-config"}
