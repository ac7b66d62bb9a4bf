"""Check the types of the registry's page, which its comments have: `make lint-page`. Needs npm.

TypeScript and the types of the packages that the page uses are installed once for each version,
below ~/.cache/tradingbot.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from npm_files import PACKAGES, REGISTRY

PAGE = REGISTRY / "tradingbot_registry/rest/page"
TYPESCRIPT = "7.0.2"
USED = ("preact", "@dagrejs/dagre")
# The page imports the files of npm as its neighbours, as they are served.
NEIGHBOURS = {
    "preact.d.mts": 'export * from "preact";\n',
    "dagre.esm.d.ts": 'export { default } from "@dagrejs/dagre";\n',
}
OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "lib": ["esnext", "dom", "dom.iterable"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "noEmit": True,
    "skipLibCheck": True,
    "strict": True,
    "target": "esnext",
}


def main() -> int:
    """Print each wrong type; return 1 if there is one."""
    if shutil.which("npm") is None:
        print("error: npm not found; the types of the page are not checked", file=sys.stderr)
        return 2
    modules = _modules()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for path in PAGE.glob("*.js"):
            shutil.copy(path, directory)
        for neighbour, text in NEIGHBOURS.items():
            (directory / neighbour).write_text(text, encoding="utf-8")
        settings = {"compilerOptions": OPTIONS, "include": ["*"]}
        (directory / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        (directory / "node_modules").symlink_to(modules)
        compiler = modules / ".bin/tsc"
        return subprocess.run([compiler, "-p", "."], cwd=directory, check=False).returncode


def _modules() -> Path:
    """Return a directory with TypeScript and the packages of the page, installed if needed."""
    wanted = [f"typescript@{TYPESCRIPT}"]
    wanted += [f"{each.name}@{each.version}" for each in PACKAGES if each.name in USED]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tradingbot/page"
    directory = cache / "_".join(wanted).replace("/", "+")
    if not (directory / "node_modules/.bin/tsc").exists():
        directory.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-save", "--ignore-scripts", *wanted]
        subprocess.run(command, cwd=directory, check=True)
    return directory / "node_modules"


if __name__ == "__main__":
    sys.exit(main())
