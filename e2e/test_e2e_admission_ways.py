"""Every way in: whatever command writes an object, the same is said of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from person import BOT, Object, Person, condition, eventually, sample, sample_bot
from tradingbot_dev.product.system import System
from ways import SERVER_SIDE, WHOLE, Told, limits_of, text, with_limits

NOWHERE = "Mars/Olympus"
FIELD = "spec.schedule.timeZone"
CONFIGURATIONS = (
    ("mutatingwebhookconfiguration", "tradingbot-mutating"),
    ("validatingwebhookconfiguration", "tradingbot-validating"),
)
Way = Callable[[Person, str, tuple[str, ...]], Told]


def in_zone(zone: str) -> Object:
    return sample_bot(schedule={"timeZone": zone})


def patch(kind: str, body: Callable[[str], object]) -> Way:
    def way(person: Person, zone: str, options: tuple[str, ...]) -> Told:
        return person.kubectl(
            "patch", "tbot", BOT, f"--type={kind}", "-p", json.dumps(body(zone)), *options
        )

    return way


def replaced(person: Person, zone: str, options: tuple[str, ...]) -> Told:
    """Replace the bot as kubectl does: it reads first, and the operator may write in between."""

    def attempt() -> Told:
        done = person.kubectl("replace", *options, "-f", "-", stdin=text(in_zone(zone)))
        assert "(Conflict)" not in done.stderr
        return done

    return eventually(attempt)


WAYS: dict[str, Way] = {
    "apply": lambda person, zone, options: person.apply(in_zone(zone), options=options),
    "apply on the server": lambda person, zone, options: person.apply(
        in_zone(zone), options=("--server-side", "--force-conflicts", *options)
    ),
    "apply by another manager": lambda person, zone, options: person.apply(
        in_zone(zone),
        options=("--server-side", "--force-conflicts", "--field-manager=gitops", *options),
    ),
    "replace": replaced,
    "merge patch": patch("merge", lambda zone: {"spec": {"schedule": {"timeZone": zone}}}),
    "json patch": patch(
        "json", lambda zone: [{"op": "replace", "path": "/spec/schedule/timeZone", "value": zone}]
    ),
}


def zone_of(person: Person) -> str:
    bot = person.get("tradingbot", BOT)
    assert bot is not None
    return str(bot["spec"]["schedule"]["timeZone"])


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_changing_a_bot_is_checked_and_a_dry_run_changes_nothing(
    person: Person, way: str
) -> None:
    person.applied(in_zone("UTC"))
    change = WAYS[way]

    for options in ((), ("--dry-run=server",)):
        denied = change(person, NOWHERE, options)
        assert denied.returncode != 0
        assert f'The TradingBot "{BOT}" is invalid' in denied.stderr
        assert f'{FIELD}: Invalid value: "{NOWHERE}"' in denied.stderr
        assert zone_of(person) == "UTC"
    tried = change(person, "Asia/Tokyo", ("--dry-run=server",))
    assert tried.returncode == 0, tried.stderr
    assert zone_of(person) == "UTC"
    done = change(person, "Asia/Tokyo", ())
    assert done.returncode == 0, done.stderr
    assert zone_of(person) == "Asia/Tokyo"


def test_create_is_checked_and_a_dry_run_of_it_stores_nothing(person: Person) -> None:
    for options in ((), ("--dry-run=server",)):
        denied = person.kubectl("create", *options, "-f", "-", stdin=text(in_zone(NOWHERE)))
        assert f"{FIELD}: Invalid value" in denied.stderr
    tried = person.kubectl("create", "--dry-run=server", "-f", "-", stdin=text(in_zone("UTC")))
    assert tried.returncode == 0, tried.stderr
    assert person.get("tradingbot", BOT) is None
    made = person.kubectl("create", "-f", "-", stdin=text(in_zone("UTC")))
    assert made.returncode == 0, made.stderr
    bot = person.get("tradingbot", BOT)
    assert bot is not None
    assert bot["spec"]["updatePolicy"] == "WhenFlat"


def test_edit_is_checked(person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person.applied(in_zone("UTC"))

    def edit(zone: str) -> Told:
        editor = tmp_path / f"{zone.replace('/', '-')}.sh"
        editor.write_text(
            f'#!/bin/sh\ncp "$1" {tmp_path}/shown-$$\n'
            f"sed -i 's#timeZone: .*#timeZone: {zone}#' \"$1\"\n"
        )
        editor.chmod(0o755)
        monkeypatch.setenv("KUBE_EDITOR", str(editor))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        return person.kubectl("edit", "tbot", BOT)

    denied = edit(NOWHERE)
    assert denied.returncode != 0
    shown = "".join(file.read_text() for file in tmp_path.glob("shown-*"))
    assert f"{FIELD}: Invalid value" in shown, "the editor opens again, with the reasons"
    assert zone_of(person) == "UTC"
    done = edit("Asia/Tokyo")
    assert done.returncode == 0, done.stderr
    assert zone_of(person) == "Asia/Tokyo"


# ---- what no webhook is asked


def reviews(system: System) -> float:
    """Reviews answered so far, at both endpoints."""
    with urlopen(f"http://127.0.0.1:{system.plane.ports.webhooks_health}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("tradingbot_webhook_reviews_total{")
    )


@pytest.mark.parametrize(
    "command",
    [
        ("label", "tbot", BOT, "team=a"),
        ("annotate", "tbot", BOT, "note=x"),
        ("patch", "tbot", BOT, "--type=merge", "-p", '{"metadata":{"ownerReferences":[]}}'),
        (
            *("patch", "tbot", BOT, "--subresource=status", "--type=merge"),
            *("-p", '{"status":{"observedGeneration":1}}'),
        ),
        ("delete", "tbot", BOT, "--timeout=120s"),
    ],
    ids=["label", "annotation", "owner", "status", "deletion"],
)
def test_status_metadata_and_deletion_ask_no_webhook(
    person: Person, system: System, command: tuple[str, ...]
) -> None:
    person.running_bot()
    before = reviews(system)

    done = person.kubectl(*command)

    assert done.returncode == 0, done.stderr
    assert reviews(system) == before


def test_a_change_of_the_spec_asks_both_webhooks(person: Person, system: System) -> None:
    person.applied(in_zone("UTC"))
    before = reviews(system)
    person.applied(in_zone("Asia/Tokyo"))
    assert reviews(system) >= before + 2


# ---- without the webhooks, and after


@contextmanager
def webhooks_removed(person: Person) -> Iterator[None]:
    """What docs/install.md says to do when they are broken, and the way back."""
    kept = []
    for kind, name in CONFIGURATIONS:
        found = json.loads(person.kubectl("get", kind, name, "-o", "json").stdout)
        found["metadata"] = {"name": name}
        kept.append(found)
        assert person.kubectl("delete", kind, name).returncode == 0
    try:
        eventually(lambda: probed(person, NOWHERE).returncode == 0)
        yield
    finally:
        person.system.apply(yaml.safe_dump_all(kept))
        eventually(lambda: "is invalid" in probed(person, NOWHERE).stderr)
        eventually(lambda: probed(person, "UTC").returncode == 0)


def probed(person: Person, zone: str) -> Told:
    """A dry run of a bot of its own, which has no quotes around a fraction unless the zone is
    invalid: only a webhook makes a string of it."""
    other = in_zone(zone)
    other["metadata"]["name"] = "probe"
    if zone != NOWHERE:
        other["spec"]["riskManagement"]["stopLossPercentage"] = 2.5
    return person.apply(other, options=("--dry-run=server",))


def test_with_the_webhooks_taken_out_the_schema_holds_and_what_is_stored_wrong_can_be_lived_with(
    person: Person, system: System
) -> None:
    person.applied(sample("secret.yaml"))
    with webhooks_removed(person):
        limits = {**sample_bot()["spec"]["riskManagement"], "stopLossPercentage": "150"}
        refused = person.apply(sample_bot(riskManagement=limits))
        assert "spec.riskManagement.stopLossPercentage: Invalid value" in refused.stderr
        refused = person.apply(sample_bot(exchange={"name": "Binance"}))
        assert "spec.exchange.apiKeySecret: Required value" in refused.stderr
        numbers = person.apply(with_limits(**WHOLE), options=SERVER_SIDE)
        assert numbers.returncode == 0, numbers.stderr
        assert limits_of(person).items() >= WHOLE.items()
        fraction = person.apply(with_limits(stopLossPercentage=2.5), options=SERVER_SIDE)
        assert "spec.riskManagement.stopLossPercentage: Invalid value" in fraction.stderr
        person.applied(in_zone(NOWHERE))
        moved = sample_bot(exchange={"name": "Coinbase", "apiKeySecret": "binance-creds"})
        assert "is immutable" in person.apply(moved).stderr
        # The operator checks the same rules before it acts.
        bot = person.await_phase(BOT, "Failed")
        assert FIELD in condition(bot, "Ready")["message"]
        assert person.items("pod", bot=BOT) == []

    labelled = person.kubectl("label", "tbot", BOT, "team=a")
    assert labelled.returncode == 0, labelled.stderr
    edited = patch("merge", lambda zone: {"spec": {"updatePolicy": zone}})(person, "Manual", ())
    assert edited.returncode == 0, edited.stderr
    assert f'Warning: {FIELD}: Invalid value: "{NOWHERE}"' in edited.stderr
    worse = WAYS["merge patch"](person, "Mars/Elsewhere", ())
    assert f'{FIELD}: Invalid value: "Mars/Elsewhere"' in worse.stderr
    beside = patch("merge", lambda path: {"spec": {"exchange": {"apiKeyPath": path}}})
    both = beside(person, "api-secret", ())
    assert "spec.exchange.apiSecretPath: Invalid value" in both.stderr
    assert f"* {FIELD}" not in both.stderr
    stopped = person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", '{"spec":{"paused":true}}')
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stderr == "", "a stop asks nobody"
    deleted = person.kubectl("delete", "tbot", BOT, "--timeout=120s")
    assert deleted.returncode == 0, deleted.stderr


# ---- AssetRegistries


def test_an_asset_does_not_return_to_draft(person: Person) -> None:
    catalogue = sample("assetregistry.yaml")
    catalogue["spec"]["assets"][0]["status"] = "Active"
    person.applied(catalogue)
    catalogue["spec"]["assets"][0]["status"] = "Draft"
    for options in ((), ("--server-side", "--force-conflicts"), ("--dry-run=server",)):
        done = person.apply(catalogue, options=options)
        assert (
            'spec.assets[0].status: Invalid value: "Draft": the asset is Active and may become'
            " only Failed, Inactive"
        ) in done.stderr


def test_a_cycle_that_an_update_closes_is_printed(person: Person) -> None:
    catalogue = sample("assetregistry.yaml")
    person.applied(catalogue)
    names = [asset["name"] for asset in catalogue["spec"]["assets"]]
    catalogue["spec"]["assets"][0]["dependsOn"] = [names[1]]
    done = person.apply(catalogue)
    assert f"closes the cycle {names[0]} -> {names[1]} -> {names[0]}" in done.stderr


def test_a_catalogue_of_500_assets_is_admitted_and_one_mistake_in_it_named(person: Person) -> None:
    assets = [
        {"name": f"a{n}", "type": "Other", "dependsOn": [f"a{n - 1}"] if n else []}
        for n in range(500)
    ]
    catalogue = {**sample("assetregistry.yaml"), "spec": {"assets": assets}}
    person.applied(catalogue)
    assets[250]["config"] = {"password": "x"}
    done = person.apply(catalogue)
    assert "spec.assets[250].config.password: Forbidden: looks like a credential" in done.stderr
    assert done.stderr.count("spec.assets") == 1
