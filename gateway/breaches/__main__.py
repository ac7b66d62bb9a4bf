"""Search for breaches: `python -m breaches --steps 1000000 --processes 2`.

Prints what happened, how fast, and the seed and step of the first breach of each process.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from multiprocessing import Pool

from breaches.facts import Breach
from breaches.story import Story


@dataclass(frozen=True)
class Result:
    """What came of one process."""

    seed: int
    steps: int
    counts: Counter[str]
    breach: str | None


def search(seed: int, steps: int) -> Result:
    """Take steps from a seed, until the first breach."""
    story = Story(seed)
    breach = None
    try:
        story.run(steps)
    except Breach as error:
        breach = str(error)
    except Exception:
        breach = traceback.format_exc()
    return Result(seed, story.step, story.world.counts, breach)


def main() -> int:
    """Run the search. The exit code is 1 if there is a breach."""
    parser = argparse.ArgumentParser(prog="breaches", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps of all processes")
    parser.add_argument("--processes", type=int, default=2, help="processes, each with its seed")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first process")
    flags = parser.parse_args()
    began = time.monotonic()
    work = [
        (flags.seed + number, flags.steps // flags.processes) for number in range(flags.processes)
    ]
    with Pool(flags.processes) as pool:
        results = pool.starmap(search, work)
    seconds = time.monotonic() - began
    counts: Counter[str] = sum((result.counts for result in results), Counter())
    steps = sum(result.steps for result in results)
    for name, times in sorted(counts.items()):
        print(f"{times:>10}  {name}")
    breaches = [result for result in results if result.breach is not None]
    for result in breaches:
        print(f"BREACH, seed {result.seed}, step {result.steps}: {result.breach}")
    print(
        f"{steps} steps in {seconds:.0f} s, {steps / seconds:.0f} steps per second,"
        f" {len(breaches)} breaches"
    )
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
