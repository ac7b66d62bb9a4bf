"""The operator's process carries no library that it does not use."""

import json
import subprocess
import sys

REPORT = """
import json, sys
import tradingbot_operator.main
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
from kubernetes.client import V1ObjectMeta
"""


def test_the_operator_does_not_import_the_client_that_others_use() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPORT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout)
    assert "kopf" in imported
    assert "kubernetes" not in imported
