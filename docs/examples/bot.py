"""A minimal bot that implements docs/bot-contract.md. Add your strategy to `Book`."""

import json
import os
import signal
import threading
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

CONFIG = Path(os.environ.get("TRADINGBOT_CONFIG", "/etc/tradingbot/bot.json"))
HOST = os.environ.get("TRADINGBOT_RISK_HOST", "")  # always all addresses in a pod
PORT = int(os.environ.get("PORT", "8080"))  # always 8080 in a pod


def trading_day(schedule: dict[str, Any], now: datetime) -> date:
    """Return the last day that has begun by `now`, by the calendar: some days have 23 or 25 h."""
    zone, start = ZoneInfo(schedule["timeZone"]), time.fromisoformat(schedule["dayStart"])
    shown = now.astimezone(zone).replace(tzinfo=None)
    day = (shown - timedelta(hours=start.hour, minutes=start.minute)).date()
    # In a repeated hour, the next day may have begun at its first occurrence.
    following = day + timedelta(days=1)
    return following if datetime.combine(following, start, zone).astimezone(UTC) <= now else day


class UnknownError(Exception): ...  # prices or positions are not known now


class Book:
    """Positions with their profit. This one opens none; add your strategy here."""

    def __init__(self) -> None:
        # A bot that may have positions when it starts reads all of these from the exchange.
        self.positions: dict[str, Decimal] = {}  # notional value by symbol
        self.realized, self.unrealized_at_start = Decimal(0), Decimal(0)  # of the trading day

    def unrealized(self) -> Decimal:
        return Decimal(0)  # at prices for closing now; raise UnknownError if they are old

    def trade(self, risk: dict[str, Any], *, entries: bool) -> None:
        """Run one turn of the strategy, within `risk`. Open and add only if `entries`."""

    def cancel_entries(self) -> None:
        """Cancel the orders that would open or add. Keep stops that protect a position."""


class Bot:
    def __init__(self, book: Book, now: datetime) -> None:
        self.book, self.config, self.halted = book, read_config(), False
        self.schedule = self.config["schedule"]  # of the current day; a new one waits
        self.day = trading_day(self.schedule, now)
        self.report: bytes | None = None  # the answer of GET /risk

    def turn(self, now: datetime) -> None:
        try:
            self.config = read_config()
        except (OSError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            print(f"keeping the old bot.json: {error!r}", flush=True)
        try:
            self.report = json.dumps(self.current_report(now)).encode()
        except UnknownError:
            self.report = None  # 503; never zero, never old figures with a new time
            self.book.cancel_entries()

    def current_report(self, now: datetime) -> dict[str, Any]:
        book, risk = self.book, self.config["risk"]
        if trading_day(self.schedule, now) > self.day:
            self.schedule = self.config["schedule"]
            if (today := trading_day(self.schedule, now)) > self.day:
                book.unrealized_at_start, book.realized = book.unrealized(), Decimal(0)
                self.day, self.halted = today, False
        book.trade(risk, entries=not self.halted)
        day_pnl = book.realized + book.unrealized() - book.unrealized_at_start
        if not self.halted and day_pnl <= -Decimal(risk["dailyLossLimit"]):
            self.halted = True  # for the rest of the day, even if it recovers
            book.cancel_entries()
        return {
            "tradingDay": self.day.isoformat(),
            "dayPnL": f"{day_pnl:.8f}",
            "openPositions": len(book.positions),
            "exposure": f"{sum(book.positions.values(), Decimal(0)):.8f}",
            "configHash": self.config["configHash"],
            "time": now.isoformat(),
        }


def read_config() -> dict[str, Any]:
    """Return bot.json, or raise if the bot can't run with it: then the one before applies."""
    config: dict[str, Any] = json.loads(CONFIG.read_bytes())
    if config["schemaVersion"] != "v1" or config["mode"] != "Paper":
        raise ValueError("this bot supports schemaVersion v1 and mode Paper")
    Decimal(config["risk"]["dailyLossLimit"])
    trading_day(config["schedule"], datetime.now(UTC))
    return config


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    bot = Bot(Book(), datetime.now(UTC))

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bot.report if self.path == "/risk" else b"{}"  # /healthz
            self.send_response(503 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body or b"")

    if "EXCHANGE_BASE_URL" not in os.environ:  # else a gateway in the pod reports, on that port
        server = ThreadingHTTPServer((HOST, PORT), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    while not stop.wait(1):
        bot.turn(datetime.now(UTC))
    bot.book.cancel_entries()


if __name__ == "__main__":
    main()
