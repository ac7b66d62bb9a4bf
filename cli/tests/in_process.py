"""Commands in this process: most of the CPU time of a process of their own goes into imports."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from tradingbot_cli.main import main


def run_here(
    *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `tradingbot` with these arguments and return what a process would have done.

    For commands that end by themselves and change nothing in their process. `environment` is
    the whole of it; without one, it is that of the tests.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        if environment is not None:
            patch.setattr(os, "environ", dict(environment))
        code = main(arguments)
    return subprocess.CompletedProcess(arguments, code, text_of(out), text_of(err))


def text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
