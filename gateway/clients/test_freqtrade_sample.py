"""config/samples/freqtrade.yaml as it is, but for the paths and the gateway's port."""

import json
import os
import subprocess
import sys
import textwrap
from itertools import takewhile
from pathlib import Path

from served import serve_behind_gateway, wait_until

SAMPLE = Path(__file__).parents[2] / "config" / "samples" / "freqtrade.yaml"
PLACEHOLDER = "tradingbot-gateway-placeholder"


def below(key: str, *, prefix: str) -> list[str]:
    """Return the lines below a key of the sample: this environment can't read YAML."""
    lines = iter(SAMPLE.read_text().splitlines())
    assert any(line.strip() == key for line in lines)
    return list(takewhile(lambda line: not line or line.startswith(prefix), lines))


def test_the_sample_starts_and_reads_the_account_through_the_gateway(tmp_path: Path) -> None:
    names = ("config.json", "crossing.py")
    files = {n: textwrap.dedent("\n".join(below(f"{n}: |", prefix="    "))) for n in names}
    args = [line.strip().removeprefix("- ") for line in below("args:", prefix="      -")]
    placeholder = {"name": PLACEHOLDER, "secret": PLACEHOLDER}
    with serve_behind_gateway(
        tmp_path, placeholder=placeholder, balances="USDT=10000", risk={}
    ) as market:
        etc, data = tmp_path / "etc", tmp_path / "data"
        for directory in (etc, data):
            directory.mkdir()
        for name, text in files.items():
            here = text.replace("http://127.0.0.1:8081", market.url).replace("/data", str(data))
            (etc / name).write_text(here)
        config = json.loads((etc / "config.json").read_text())
        assert config["exchange"]["ccxt_config"]["urls"]["api"]["private"].startswith(market.url)
        replaced = {"/etc/freqtrade": str(etc), "/data": str(data)}
        arguments = [
            next((a.replace(old, new) for old, new in replaced.items() if old in a), a)
            for a in args
        ]
        variables = {f"FREQTRADE__EXCHANGE__{name}": PLACEHOLDER for name in ("KEY", "SECRET")}
        log = tmp_path / "freqtrade.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "freqtrade", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, HOME=str(tmp_path), **variables),
            )
        try:
            wait_until(
                lambda: "state='RUNNING'" in log.read_text() or process.poll() is not None,
                lambda: log.read_text()[-4000:],
            )
            assert process.poll() is None, log.read_text()[-4000:]
            assert "Using resolved strategy Crossing" in log.read_text()
            # When it is ended in the middle of its work, it says so as an error.
            assert "ERROR" not in log.read_text()
        finally:
            process.terminate()
            process.wait(timeout=60)
