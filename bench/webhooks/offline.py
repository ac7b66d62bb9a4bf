"""Measure `tradingbot validate` on a thousand manifests, from start to exit of the process."""

import subprocess
import tempfile
import time
from pathlib import Path

import yaml
from tradingbot_dev.product.system import tradingbot_path

from bench.common.sample import sample_bot
from bench.common.series import Series
from bench.webhooks.reviews import numbered

MANIFESTS = 1000


def measure_validate(*, rounds: int) -> tuple[Series, Series]:
    """Return the seconds with one file for each manifest, and with one file for all."""
    files, one_file = Series(), Series()
    with tempfile.TemporaryDirectory() as directory:
        many, single = Path(directory) / "many", Path(directory) / "one.yaml"
        many.mkdir()
        texts = [yaml.safe_dump(bot, sort_keys=False) for bot in numbered(sample_bot, MANIFESTS)]
        for number, text in enumerate(texts):
            (many / f"bot-{number}.yaml").write_text(text)
        single.write_text("---\n".join(texts))
        for _ in range(rounds):
            files.values.append(_run(many))
            one_file.values.append(_run(single))
    return files, one_file


def _run(target: Path) -> float:
    begin = time.perf_counter()
    done = subprocess.run(
        [tradingbot_path(), "validate", "-f", str(target)], capture_output=True, check=False
    )
    taken = time.perf_counter() - begin
    if done.returncode != 0:
        raise RuntimeError(f"validate exited with {done.returncode}: {done.stderr.decode()[:500]}")
    return taken
