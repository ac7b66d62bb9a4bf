"""`tradingbot doctor`: diagnose an installation."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from io import TextIOWrapper

from tradingbot_cli.doctor.access import NoAccessError, connect
from tradingbot_cli.doctor.cluster import Cluster
from tradingbot_cli.doctor.collect import collect
from tradingbot_cli.doctor.diagnosis import diagnose
from tradingbot_cli.doctor.expected import NAMESPACE, Installation
from tradingbot_cli.doctor.findings import COULD_NOT_LOOK, exit_code
from tradingbot_cli.doctor.report import as_json, text
from tradingbot_cli.terminal import wants_color

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DESCRIPTION = """\
Diagnose an installation in a cluster: definitions, webhooks and their certificate, rights,
operator, registry. The command changes nothing: the two bots that it sends are dry runs. It prints
no secret. It reads the webhooks' Secret, for its public certificate, only if no replica can be
reached."""
_EPILOG = """\
exit code: 0 nothing failed, 1 something failed, 2 nothing could be checked

examples:
  tradingbot doctor
  tradingbot doctor --context live -o json"""


def run(name: str, arguments: list[str]) -> int:
    """Diagnose, print the findings, and return the exit code."""
    given = _parser(name).parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that are not UTF-8
    wanted = Installation.of_this_version(given.namespace)
    try:
        with warnings.catch_warnings():
            # urllib3 warns at each request about insecure-skip-tls-verify.
            warnings.simplefilter("ignore")
            look = collect(Cluster(connect(given.kubeconfig, given.context)), wanted)
    except NoAccessError as error:
        print(f"tradingbot: error: {error}", file=sys.stderr)
        return COULD_NOT_LOOK
    findings = diagnose(look.facts, wanted, now=look.now)
    as_text = given.output == "text"
    sys.stdout.write(text(findings, color=wants_color()) if as_text else as_json(findings))
    return exit_code(findings)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"tradingbot {name}",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-n",
        "--namespace",
        type=_namespace,
        default=NAMESPACE,
        help=f"namespace of the installation; default: {NAMESPACE}",
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: the same as kubectl's")
    parser.add_argument("--context", metavar="NAME", help="default: the current context")
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="default: text"
    )
    return parser


def _namespace(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a valid namespace name")
    return value
