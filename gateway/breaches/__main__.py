"""Search for breaches: `python -m breaches --steps 1000000 --processes 2`.

Prints what happened, how fast, and the seed and step of the first breach, at which it stops.
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

STORY = 25_000
"""Steps of a story; the next one begins with another seed."""


@dataclass(frozen=True)
class Result:
    """What came of one story."""

    seed: int
    steps: int
    seconds: float
    """Of CPU time."""
    counts: Counter[str]
    breach: str | None


def search(work: tuple[int, int]) -> Result:
    """Run the story of a seed, until the first breach. `work` is seed and steps."""
    seed, steps = work
    began = time.process_time()
    story = Story(seed)
    breach = None
    try:
        story.run(steps)
    except Breach as error:
        breach = str(error)
    except Exception:
        breach = traceback.format_exc()
    return Result(seed, story.step, time.process_time() - began, story.world.counts, breach)


def main() -> int:
    """Run the search. The exit code is 1 if there is a breach."""
    parser = argparse.ArgumentParser(prog="breaches", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps of all stories")
    parser.add_argument("--processes", type=int, default=2, help="stories at the same time")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first story")
    flags = parser.parse_args()
    starts = range(0, flags.steps, STORY)
    work = [(flags.seed + n, min(STORY, flags.steps - at)) for n, at in enumerate(starts)]
    counts: Counter[str] = Counter()
    steps, used, breach = 0, 0.0, None
    began = time.monotonic()
    with Pool(flags.processes) as pool:
        for result in pool.imap_unordered(search, work):
            counts += result.counts
            steps, used = steps + result.steps, used + result.seconds
            print(f"{steps:>10}  steps, until seed {result.seed}", file=sys.stderr, flush=True)
            if result.breach is not None:
                breach = f"seed {result.seed}, step {result.steps}: {result.breach}"
                break
    seconds = time.monotonic() - began
    for name, times in sorted(counts.items()):
        print(f"{times:>10}  {name}")
    if breach is not None:
        print(f"BREACH, {breach}")
    print(
        f"{steps} steps in {seconds:.0f} s: {steps / seconds:.0f} per second,"
        f" {steps / max(used, 1e-9):.0f} per second of CPU time;"
        f" breaches: {int(breach is not None)}"
    )
    return 1 if breach is not None else 0


if __name__ == "__main__":
    sys.exit(main())
