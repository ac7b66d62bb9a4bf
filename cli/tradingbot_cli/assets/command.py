"""`tradingbot assets`: list, get, graph, apply, delete."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from io import TextIOWrapper
from pathlib import Path

from tradingbot_api.asset import AssetStatus, AssetType

from tradingbot_cli.assets.client import Query, RefusedError, Registry, TargetError, asset_path
from tradingbot_cli.assets.manifest import AssetManifest, Mistake, in_order, read
from tradingbot_cli.assets.output import FORMATS, fields_of, one, shown
from tradingbot_cli.assets.transport import (
    NAMESPACE,
    SERVICE,
    TOKEN,
    TOKEN_FILE,
    URL,
    Access,
    connect,
)
from tradingbot_cli.errors import UsageError
from tradingbot_cli.terminal import Paint, one_line, wants_color

_DONE, _FAILED, _USAGE = 0, 1, 2
_MAX_FILE = 64 * 1024 * 1024
_DESCRIPTION = """\
Read and change the assets of a registry: at --url, or in the cluster of the kubeconfig, through
the service proxy of its API server."""
_EPILOG = f"""\
A registry in a cluster wants a token for the audience tradingbot-registry: --service-account
issues one with the rights of the kubeconfig, --token-file and {TOKEN_FILE} name a file with one,
{TOKEN} has one.

TARGET is the id of an asset or its reference SOURCE/NAMESPACE/NAME.

exit code: 0 all was done, 1 something was refused or failed, 2 wrong usage

examples:
  tradingbot assets list --url http://127.0.0.1:8090 --status Failed -o wide
  tradingbot assets get tradingbot/trading/arb-bot -o yaml --service-account asset-editor
  tradingbot assets apply -f assets.yaml --dry-run"""


def run(name: str, arguments: list[str]) -> int:
    """Run the command. Raises CommandError."""
    given = _parser(name).parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that are not UTF-8
    command: Callable[[argparse.Namespace], int] = given.run
    with warnings.catch_warnings():
        # urllib3 warns at each request about insecure-skip-tls-verify.
        warnings.simplefilter("ignore")
        return command(given)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"tradingbot {name}",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, summary: str, run: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=summary, description=f"{summary}.", allow_abbrev=False
        )
        added.set_defaults(run=run)
        return added

    listing = command("list", "List assets", _list)
    _add_filters(listing)
    _add_output(listing)
    getting = command("get", "Show assets", _get)
    getting.add_argument("targets", nargs="+", metavar="TARGET")
    _add_output(getting)
    graph = command("graph", "Draw assets and their dependencies", _graph)
    graph.add_argument("target", nargs="?", metavar="TARGET", help="only what is around this asset")
    graph.add_argument("--depth", type=_positive, metavar="N", help="steps from TARGET")
    graph.add_argument("--direction", choices=("dependencies", "dependents"))
    graph.add_argument("--limit", type=_positive, metavar="N", help="assets; default: 500")
    graph.add_argument(
        "-o", "--output", choices=("mermaid", "dot", "json"), default="mermaid",
        help="a flowchart for Markdown, a graph for Graphviz, or JSON; default: mermaid",
    )  # fmt: skip
    applying = command("apply", "Create assets, or change them to what files say", _apply)
    applying.add_argument(
        "-f", "--filename", action="append", required=True, metavar="FILE",
        help="a file with assets as YAML or JSON, or - for stdin; can be repeated",
    )  # fmt: skip
    applying.add_argument("--dry-run", action="store_true", help="show what would be done")
    deleting = command("delete", "Delete assets", _delete)
    deleting.add_argument("targets", nargs="+", metavar="TARGET")
    deleting.add_argument(
        "--force", action="store_true", help="also if others depend on it: they lose the dependency"
    )
    deleting.add_argument("--dry-run", action="store_true", help="show what would be done")
    deleting.add_argument(
        "--as-owner",
        action="store_true",
        help="also the assets of a controller that no longer exists, by their references",
    )
    deleting.add_argument("--ignore-not-found", action="store_true")
    for each in commands.choices.values():
        _add_access(each)
    return parser


def _add_filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("filters, as in the REST API; repeat one for more values")
    group.add_argument("--type", action="append", choices=list(AssetType), metavar="TYPE")
    group.add_argument("--status", action="append", choices=list(AssetStatus), metavar="STATUS")
    group.add_argument(
        "--effective-status", action="append", choices=[*AssetStatus, "Degraded"], metavar="STATUS"
    )
    group.add_argument("--managed-by", action="append", choices=("user", "crd", "operator"))
    group.add_argument("--tag", action="append", metavar="TAG", help="repeated: all of them")
    group.add_argument("--any-tag", action="append", metavar="TAG", help="repeated: any of them")
    group.add_argument("-q", metavar="TEXT", help="text in name or description")
    group.add_argument("--updated-since", metavar="TIME", help="RFC 3339")
    group.add_argument("--external-ref-prefix", metavar="PREFIX")
    group.add_argument("--sort", metavar="KEYS", help="such as name,-updated_at")
    group.add_argument("--limit", type=_positive, metavar="N", help="default: all")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=FORMATS, default="table", help="name: ids alone; default: table"
    )


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("registry")
    group.add_argument("--url", help=f"such as http://127.0.0.1:8090 [{URL}]")
    group.add_argument("--token-file", metavar="FILE", help=f"file with a token [{TOKEN_FILE}]")
    group.add_argument("--ca-file", metavar="FILE", help="authorities for --url as PEM")
    group.add_argument("--kubeconfig", metavar="FILE", help="default: the same as kubectl's")
    group.add_argument("--context", metavar="NAME", help="default: the current context")
    group.add_argument(
        "-n", "--namespace", default=NAMESPACE, metavar="NAME",
        help=f"namespace of the registry; default: {NAMESPACE}",
    )  # fmt: skip
    group.add_argument("--service", default=SERVICE, help=f"default: {SERVICE}")
    group.add_argument(
        "--service-account", metavar="[NAMESPACE/]NAME", help="issue a token of this account"
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _registry(given: argparse.Namespace) -> Registry:
    return Registry(
        connect(
            Access(
                url=given.url,
                token_file=given.token_file,
                ca_file=given.ca_file,
                kubeconfig=given.kubeconfig,
                context=given.context,
                namespace=given.namespace,
                service=given.service,
                service_account=given.service_account,
            ),
            os.environ,
        )
    )


_FILTERS = ("type", "status", "effective_status", "managed_by", "tag", "any_tag")
_SINGLE = ("q", "updated_since", "external_ref_prefix", "sort")


def _list(given: argparse.Namespace) -> int:
    query = [(name, value) for name in _FILTERS for value in getattr(given, name) or ()]
    query += [(name, getattr(given, name)) for name in _SINGLE if getattr(given, name)]
    fields = fields_of(given.output)
    if fields:
        query.append(("fields", ",".join(fields)))
    pages = _registry(given).assets(tuple(query), limit=given.limit)
    for line in shown(pages, given.output, paint=Paint(wants_color())):
        print(line)
    return _DONE


def _get(given: argparse.Namespace) -> int:
    registry, found, code = _registry(given), [], _DONE
    for target in given.targets:
        try:
            found.append(registry.get(target))
        except (RefusedError, TargetError) as error:
            code = _refused(target, error)
    paint = Paint(wants_color())
    if len(given.targets) == 1:
        lines: Iterable[str] = one(found[0], given.output, paint=paint) if found else ()
    else:
        lines = shown([found], given.output, paint=paint)
    for line in lines:
        print(line)
    return code


def _graph(given: argparse.Namespace) -> int:
    registry = _registry(given)
    query = [("format", given.output)]
    if given.target:
        query.append(("root", registry.get(given.target)["id"]))
    options = {name: getattr(given, name) for name in ("depth", "direction", "limit")}
    query += [(name, str(value)) for name, value in options.items() if value is not None]
    print(registry.graph(tuple(query)).rstrip("\n"))
    return _DONE


def _apply(given: argparse.Namespace) -> int:
    assets: list[AssetManifest] = []
    mistakes: list[Mistake] = []
    for file in given.filename:
        found, wrong = read("<stdin>" if file == "-" else file, _content(file))
        assets += found
        mistakes += wrong
    targets = [asset.target for asset in assets if asset.target]
    twice = sorted({target for target in targets if targets.count(target) > 1})
    lines = [*map(str, mistakes), *(f"{target}: is there twice" for target in twice)]
    if lines:
        for line in lines:
            print(f"tradingbot: error: {one_line(line)}", file=sys.stderr)
        print("tradingbot: error: nothing was applied", file=sys.stderr)
        return _FAILED
    registry, code = _registry(given), _DONE
    for asset in in_order(assets):
        try:
            done = _applied(registry, asset, dry_run=given.dry_run)
        except (RefusedError, TargetError) as error:
            code = _refused(asset.target, error)
        else:
            print(f"{asset.target}: {done}" + (" (dry run)" if given.dry_run else ""))
    return code


def _content(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(_MAX_FILE)
        with Path(file).open("rb") as opened:
            return opened.read(_MAX_FILE)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _applied(registry: Registry, asset: AssetManifest, *, dry_run: bool) -> str:
    """Create or replace the asset and say which. Raises RefusedError."""
    before = registry.find(asset.target)
    if before is None:
        if asset.external_ref is None:
            raise TargetError("no asset has this id, and the registry makes ids: use externalRef")
        if not dry_run:
            registry.create(asset.external_ref, asset.body())
        return "created"
    body = asset.body()
    if dry_run:
        body["dependsOn"] = [_stored_as(registry, need) for need in body["dependsOn"]]
        fields = [key for key in body if _differs(before.get(key), body[key], key)]
        return f"changed: {', '.join(fields)}" if fields else "unchanged"
    after = registry.replace(before["id"], body)
    return "unchanged" if after.get("version") == before.get("version") else "changed"


def _stored_as(registry: Registry, need: str) -> str:
    """Return the id of a dependency; its reference, if there is no such asset yet."""
    found = registry.find(need)
    return str(found["id"]) if found else need


def _differs(stored: object, wanted: object, key: str) -> bool:
    if key in {"tags", "dependsOn"} and isinstance(stored, list) and isinstance(wanted, list):
        return sorted(stored) != sorted(wanted)
    return stored != wanted


def _delete(given: argparse.Namespace) -> int:
    if given.as_owner and (given.dry_run or any("/" not in target for target in given.targets)):
        raise UsageError("--as-owner takes references, and no --dry-run")
    for target in given.targets:
        asset_path(target)  # A typo in one must not delete the others.
    registry, code = _registry(given), _DONE
    query: Query = tuple((name, "true") for name in ("force", "dry_run") if getattr(given, name))
    for target in given.targets:
        try:
            answer = registry.delete(target, query, as_owner=given.as_owner)
        except RefusedError as error:
            if error.status == _NOT_FOUND and given.ignore_not_found:
                continue
            code = _refused(target, error)
            continue
        if given.dry_run and isinstance(answer, dict):
            code = max(code, _show_dry_run(target, answer))
        else:
            print(f"{target}: deleted")
    return code


_NOT_FOUND = 404


def _show_dry_run(target: str, answer: dict[str, object]) -> int:
    allowed = answer.get("allowed") is True
    print(f"{target}: {'would be deleted' if allowed else 'would not be deleted'} (dry run)")
    dependents = answer.get("dependents")
    for asset in dependents if isinstance(dependents, list) else ():
        print(one_line(f"  {asset.get('externalRef') or asset.get('id')}  {asset.get('name')}"))
    return _DONE if allowed else _FAILED


def _refused(target: str, error: Exception) -> int:
    first, *others = str(error).splitlines() or [""]
    print(f"tradingbot: error: {one_line(target)}: {one_line(first)}", file=sys.stderr)
    for line in others:
        print(f"  {one_line(line.strip())}", file=sys.stderr)
    return _FAILED
