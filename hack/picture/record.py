"""Record the commands of the picture against the whole product on a control plane of its own."""

import json
import shlex
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product.system import System, temporary_system

BOT = "arb-bot-binance"
SECONDS = 60.0
CHECK = "kubectl get tbot"
REASON = f"kubectl get tbot {BOT} -o jsonpath='{{.status.risk.haltReason}}'"
PATCH = (
    f"kubectl patch tbot {BOT} --type=merge"
    """ -p '{"spec":{"riskManagement":{"maxPositionSize":"0","stopLossPercentage":"150"}}}'"""
)
CONTINUATION = " \\\n    "


def record() -> str:
    """Return what a user types, with what the real commands print."""
    bot = _ReportingBot()
    with (
        bot.server,
        temporary_system(environment={"TRADINGBOT_OPERATOR_RISK_URL": bot.risk_url}) as system,
    ):
        threading.Thread(target=bot.server.serve_forever, daemon=True).start()
        system.plane.kubectl("apply", "-f", "config/samples/secret.yaml", check=True)
        bot.day_pnl = "-41.30"
        parts = [
            "# Apply a bot. The operator creates its Deployment, ConfigMap and Service.\n"
            + _run(system, "kubectl apply -f config/samples/tradingbot.yaml"),
            _run(system, CHECK, until=lambda shown: "-41.30" in shown and "True" in shown),
            "# A dangerous change is refused, with every mistake at once.\n" + _run(system, PATCH),
            "# The bot loses more than its dailyLossLimit of 200: it is halted until the next day.",
        ]
        bot.day_pnl = "-203.75"
        parts[-1] += "\n" + _run(system, CHECK, until=lambda shown: "Halted" in shown)
        parts.append(_run(system, REASON))
        bot.server.shutdown()
    return "\n\n".join(parts) + "\n"


def _run(system: System, command: str, *, until: Callable[[str], bool] | None = None) -> str:
    """Run a kubectl command, again until its output is as wanted; return both."""
    shown = ""

    def is_done() -> bool:
        nonlocal shown
        done = system.plane.kubectl(*shlex.split(command)[1:])
        shown = "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines())
        return until is None or until(shown)

    wait_until(is_done, what=command, seconds=SECONDS)
    return f"$ {command.replace(' -p ', f'{CONTINUATION}-p ')}\n{shown}"


class _ReportingBot:
    """Reports a profit as a bot would: on the simulated node no process runs in a pod."""

    def __init__(self) -> None:
        self.day_pnl = "0"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def risk_url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{{name}}/risk"

    def report(self) -> bytes:
        now = datetime.now(UTC)
        fields = {
            "tradingDay": now.date().isoformat(),
            "dayPnL": self.day_pnl,
            "openPositions": 1,
            "exposure": "950",
            "configHash": "unknown",
            "time": now.isoformat(),
        }
        return json.dumps(fields).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bot.report()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        return Handler
