"""kustomize treats bots like Deployments, with the component that docs/kustomize.md describes."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from rendered import CONFIG, Object, loaded, of_kind
from tradingbot_api import API_VERSION
from tradingbot_api.assetregistry import AssetRegistry
from tradingbot_api.constraints import Text
from tradingbot_api.model import Model
from tradingbot_api.tradingbot import TradingBot
from tradingbot_cli.main import main
from tradingbot_dev.control_plane.plane import kubectl_path

COMPONENT = CONFIG / "kustomize"
PAGE = (CONFIG.parent / "docs" / "kustomize.md").read_text(encoding="utf-8")
FILE = re.compile(
    r"^```yaml\n# (?P<name>[\w./-]+\.yaml)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
EXAMPLES = {found["name"]: found["text"] for found in FILE.finditer(PAGE)}
OUTPUT = PAGE.split("```yaml\n# the output\n")[1].split("```")[0]
GENERATED = ("api-key", "api-secret", ".dockerconfigjson", "token", "ca.crt", "spread.json")
HASH = r"-[a-z0-9]{10}\b"
NAMING = re.compile(r"must be the name of a ([A-Z]\w+)")
GENERATORS = {"Secret": "secretGenerator", "ConfigMap": "configMapGenerator"}


def configuration(name: str) -> Any:
    return yaml.safe_load((COMPONENT / f"{name}.yaml").read_text(encoding="utf-8"))


def kustomize(folder: Path, *resources: Object, **fields: object) -> tuple[Object, ...]:
    """Render a kustomization of these resources with our component, in a directory of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "resources.yaml").write_text(yaml.safe_dump_all(resources))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "components": [os.path.relpath(COMPONENT, folder.resolve())],
        "resources": ["resources.yaml"],
        **fields,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return rendered(folder)


def rendered(folder: Path) -> tuple[Object, ...]:
    done = subprocess.run(
        [kubectl_path(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(loaded(done.stdout))


def named_objects(of: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the kind and path of each field of a model with the name of an object."""
    if get_origin(of) is Annotated:
        inner, *metadata = get_args(of)
        for text in metadata:
            if isinstance(text, Text) and (naming := NAMING.match(text.detail)):
                yield naming[1], path
        yield from named_objects(inner, path)
    elif get_origin(of) in {list, Union, UnionType}:
        for inner in get_args(of):
            yield from named_objects(inner, path)
    elif isinstance(of, type) and issubclass(of, Model):
        for name, field in of.model_fields.items():
            inside = f"{path}/{field.alias or name}".lstrip("/")
            whole = Annotated[(field.annotation, *field.metadata)] if field.metadata else None
            yield from named_objects(whole or field.annotation, inside)


def references(file: str) -> list[tuple[Object, Object]]:
    """Return what is named and the field that names it, of each reference that a file declares."""
    found = yaml.safe_load((COMPONENT / file).read_text(encoding="utf-8"))["nameReference"]
    return [(named, field) for named in found for field in named["fieldSpecs"]]


NAMES = references("names.yaml")
SELECTORS = references("bot-names.yaml")


def title(reference: object) -> str:
    return f"{reference['kind']} {reference.get('path', '')}" if isinstance(reference, dict) else ""


def attributes(path: str) -> list[str]:
    """Return the parts of a path. kustomize writes a slash inside of one as `\\/`."""
    return [part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", path)]


def put(target: Object, path: str, value: object) -> None:
    *above, last = attributes(path)
    for attribute in above:
        target = target.setdefault(attribute, {})
    target[last] = value


def value_at(found: Any, path: str) -> Any:
    for attribute in attributes(path):
        found = found[attribute]
    return found


def resource(api_version: str, kind: str, name: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def api_version(of: Object) -> str:
    return "/".join(part for part in (of.get("group"), of.get("version", "v1")) if part)


@pytest.mark.parametrize("model", [TradingBot, AssetRegistry])
def test_every_field_with_the_name_of_an_object_is_known(model: type[Model]) -> None:
    declared = {
        (named["kind"], field["path"]) for named, field in NAMES if field["kind"] == model.__name__
    }

    assert set(named_objects(model)) == declared
    assert declared


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Object, ...]:
    """Objects with each of the fields, and those that they name, with a prefix and a suffix.

    The objects called `stranger` have the same fields, with names that the kustomization lacks.
    """
    objects = {
        (kind, name): resource(API_VERSION, kind, name)
        for kind in ("TradingBot", "AssetRegistry")
        for name in ("own", "stranger")
    }
    generated: dict[str, object] = {}
    for named, field in NAMES:
        name = f"a-{named['kind'].lower()}"
        put(objects[field["kind"], "own"], field["path"], name)
        put(objects[field["kind"], "stranger"], field["path"], "elsewhere")
        if generator := GENERATORS.get(named["kind"]):
            generated[generator] = [{"name": name, "literals": ["a=b"]}]
        else:
            objects[named["kind"], name] = resource(api_version(named), named["kind"], name)
    for index, (_, field) in enumerate(SELECTORS):
        name = "own" if field["kind"] == "TradingBot" else f"selector-{index}"
        put(
            objects.setdefault(
                (field["kind"], name), resource(api_version(field), field["kind"], name)
            ),
            field["path"],
            "own",
        )
    put(objects["TradingBot", "own"], "spec/strategy/parameters/plain", "a-secret")
    return kustomize(
        tmp_path_factory.mktemp("renamed"),
        *objects.values(),
        namePrefix="pre-",
        nameSuffix="-post",
        **generated,
    )


@pytest.mark.parametrize(("named", "field"), NAMES, ids=title)
def test_a_field_follows_the_name_of_its_object(
    named: Object, field: Object, renamed: tuple[Object, ...]
) -> None:
    (name,) = of_kind(renamed, named["kind"])
    owners = of_kind(renamed, field["kind"])

    assert name.startswith("pre-a-")
    assert bool(re.search(f"-post{HASH}$", name)) == (named["kind"] in GENERATORS)
    assert value_at(owners["pre-own-post"], field["path"]) == name
    assert value_at(owners["pre-stranger-post"], field["path"]) == "elsewhere"


@pytest.mark.parametrize(("_named", "field"), SELECTORS, ids=title)
def test_a_selector_follows_the_name_of_its_bot(
    _named: Object, field: Object, renamed: tuple[Object, ...]
) -> None:
    found = [one for one in renamed if one["kind"] == field["kind"] and has(one, field["path"])]

    assert {value_at(one, field["path"]) for one in found} == {"pre-own-post"}


def has(one: Object, path: str) -> bool:
    try:
        value_at(one, path)
    except KeyError:
        return False
    return True


def test_a_text_that_looks_like_a_name_stays(renamed: tuple[Object, ...]) -> None:
    bot = of_kind(renamed, "TradingBot")["pre-own-post"]

    assert bot["spec"]["strategy"]["parameters"] == {"plain": "a-secret"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"newTag": "2"}, "ghcr.io/example/bot:2"),
        ({"newName": "mirror.example/bot"}, "mirror.example/bot:1"),
        ({"digest": f"sha256:{64 * 'a'}"}, f"ghcr.io/example/bot@sha256:{64 * 'a'}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_images_change_the_image_of_a_bot_and_of_no_other(
    changes: Object, expected: str, tmp_path: Path
) -> None:
    bots = [resource(API_VERSION, "TradingBot", name) for name in ("own", "other")]
    for bot, image in zip(bots, ("ghcr.io/example/bot:1", "ghcr.io/example/botany:1"), strict=True):
        put(bot, "spec/strategy/image", image)
    images = [{"name": "ghcr.io/example/bot", **changes}]

    found = of_kind(kustomize(tmp_path, *bots, images=images), "TradingBot")

    assert found["own"]["spec"]["strategy"]["image"] == expected
    assert found["other"]["spec"]["strategy"]["image"] == "ghcr.io/example/botany:1"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"labels": [{"pairs": {"team": "a"}, "includeTemplates": True}]}, {"team": "a"}),
        ({"labels": [{"pairs": {"team": "a"}}]}, None),
        ({"labels": [{"pairs": {"team": "a"}, "includeSelectors": True}]}, None),
        ({"commonLabels": {"team": "a"}}, None),
        ({"commonAnnotations": {"team": "a"}}, None),
    ],
    ids=["templates", "labels", "selectors", "commonLabels", "commonAnnotations"],
)
def test_labels_reach_the_pod_if_they_are_meant_for_it(
    fields: Object, expected: Object | None, tmp_path: Path
) -> None:
    (bot,) = kustomize(tmp_path, resource(API_VERSION, "TradingBot", "own"), **fields)
    pod = bot.get("spec", {}).get("pod", {})

    assert pod == ({} if expected is None else {"labels": expected})
    assert {"team": "a"} in (bot["metadata"].get("labels"), bot["metadata"].get("annotations"))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of docs/kustomize.md, and those that its generators read."""
    directory = tmp_path_factory.mktemp("example").resolve()
    for name, text in EXAMPLES.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    for name in GENERATED:
        (directory / "zurich" / name).write_text("{}")
    # As in the page, where it is a copy.
    copytree(COMPONENT, directory / "config" / "kustomize")
    return directory


def test_the_example_gives_what_the_page_shows_and_is_admitted(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = rendered(example / "zurich")
    (bot,) = (one for one in objects if one["kind"] == "TradingBot")
    shown = yaml.safe_load(OUTPUT)
    names = {one["metadata"]["name"] for one in objects}

    assert re.sub(HASH, "-HASH", yaml.safe_dump(bot)) == yaml.safe_dump(shown)
    assert set(re.findall(rf"zurich-[a-z-]+{HASH}", yaml.safe_dump(bot))) < names
    (example / "all.yaml").write_text(yaml.safe_dump_all(objects))
    assert main(["validate", "-f", str(example / "all.yaml")]) == 0, capsys.readouterr().out


def test_the_component_may_be_in_the_base_and_in_the_overlay(example: Path) -> None:
    once = rendered(example / "zurich")
    file = example / "zurich" / "kustomization.yaml"
    alone = file.read_text()
    file.write_text(f"{alone}components: [../config/kustomize]\n")
    try:
        assert rendered(example / "zurich") == once
    finally:
        file.write_text(alone)


def test_a_json_patch_adds_to_a_list_and_a_strategic_one_replaces_it(example: Path) -> None:
    (bot,) = rendered(example / "frankfurt")
    assert bot["metadata"]["name"] == "arbitrage-frankfurt"
    assert [one["name"] for one in bot["spec"]["pod"]["env"]] == ["TELEGRAM_TOKEN", "REGION"]

    patch = resource(API_VERSION, "TradingBot", "arbitrage")
    put(patch, "spec/pod/env", [{"name": "REGION", "value": "eu-central"}])
    patches = [{"patch": yaml.safe_dump(patch)}]
    bot = yaml.safe_load(EXAMPLES["bots/arbitrage.yaml"])
    (patched,) = kustomize(example / "strategic", bot, patches=patches)
    assert [one["name"] for one in patched["spec"]["pod"]["env"]] == ["REGION"]


def test_a_replacement_sets_a_part_of_a_reference(example: Path) -> None:
    (registry,) = of_kind(rendered(example / "assets"), "AssetRegistry").values()

    assert registry["spec"]["assets"][0]["dependsOn"] == ["tradingbot/trading/zurich-arbitrage"]
