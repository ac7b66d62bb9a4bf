"""Check the files that git knows, or those below the paths given.

python -m words             all files
python -m words PATH...     these
"""

import subprocess
import sys
from pathlib import Path

from words.check import check, read_list

ROOT = Path(__file__).resolve().parents[2]
LIST = "hack/words/refused.toml"
SUFFIXES = {
    *(".md", ".py", ".yaml", ".yml", ".txt", ".tpl", ".toml", ".sh", ".go", ".rs", ".json", ""),
}
# These consist of refused phrases.
OWN = {LIST, "hack/tests/test_words.py"}
# Written by tools, or a text of others.
SKIPPED = {
    *("requirements.txt", "requirements-dev.txt", "go-requirements.txt", "LICENSE"),
    "bip39_english.json",
    *("swagger-ui-bundle.js.LICENSE.txt", "dagre.esm.js.LEGAL.txt", "LICENSE-3RD-PARTY.txt"),
}


def main(arguments: list[str]) -> int:
    """Print each finding; return 1 if there is one, 2 if nothing could be checked."""
    refused = read_list((ROOT / LIST).read_text(encoding="utf-8"))
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(f"error: git ls-files: {done.stderr.strip()}", file=sys.stderr)
        return 2
    findings = [
        finding
        for name in sorted(set(done.stdout.split("\0")))
        if name and _is_checked(name)
        for finding in check(name, (ROOT / name).read_text(encoding="utf-8"), refused)
    ]
    for finding in findings:
        print(finding)
    if findings:
        print(
            f"{len(findings)} refused phrases: see {LIST}; a line that must keep one says"
            " `words: allow`",
            file=sys.stderr,
        )
    return 1 if findings else 0


def _is_checked(name: str) -> bool:
    path = Path(name)
    return (
        path.suffix in SUFFIXES
        and path.name not in SKIPPED
        and name not in OWN
        and (ROOT / path).is_file()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
