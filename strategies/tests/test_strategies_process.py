"""A bot's process: bot.json, GET /risk, SIGTERM, and what is kept in files."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer, unused_port
from bots import START, RunningBot, config_of
from trading_world import World, account_in
from tradingbot_api.contract import RiskReport
from tradingbot_api.tradingbot import Mode
from tradingbot_exchange.engine.types import Side
from tradingbot_strategies import connect as connecting
from tradingbot_strategies import runtime
from tradingbot_strategies.calls import Calls, text_of
from tradingbot_strategies.config_file import ConfigFile
from tradingbot_strategies.errors import ConfigError
from tradingbot_strategies.exchange import (
    NotAcceptedError,
    UnavailableError,
    UnknownOutcomeError,
)
from tradingbot_strategies.page import application
from tradingbot_strategies.state_files import HaltFile, PaperFile

GRID = {"symbol": "BTC-USDT", "lowerPrice": "50000", "upperPrice": "59000", "levels": "4"}


def bot_json(**changes: object) -> dict[str, Any]:
    return {**config_of("Grid", GRID).model_dump(by_alias=True, mode="json", exclude_none=True),
            **changes}  # fmt: skip


class TestConfigFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "bot.json"
        path.write_text(json.dumps(bot_json()))
        return path

    def test_a_change_is_applied_as_a_whole_or_not_at_all(self, path: Path) -> None:
        file = ConfigFile(path)
        assert file.changed() is False
        for broken in ("", "{", "[]", json.dumps(bot_json(risk={})), json.dumps({"a": 1})):
            path.write_text(broken)
            assert file.changed() is False
            assert file.config.config_hash == "abc"
        path.write_text(json.dumps(bot_json(configHash="new")))
        assert file.changed() is True
        assert file.config.config_hash == "new"

    def test_unknown_fields_are_ignored_at_every_depth(self, path: Path) -> None:
        content = bot_json(new=1)
        content["risk"]["new"] = "2"
        content["schedule"]["windows"] = [
            {"days": ["Mon"], "start": "08:00", "end": "17:00", "new": {}}
        ]
        path.write_text(json.dumps(content))

        assert ConfigFile(path).config.schedule.windows[0].end == "17:00"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "cannot read"),
            ("{", "is not JSON"),
            (json.dumps(bot_json(schemaVersion="v2")), "supports v1"),
            ("[" * 100_000, "nested too deeply"),
            (json.dumps(bot_json(mode="Real")), "mode"),
        ],
    )
    def test_at_the_start_a_bad_file_is_an_error(
        self, path: Path, text: str | None, message: str
    ) -> None:
        path.unlink() if text is None else path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            ConfigFile(path)


class TestPage:
    def report(self, now: datetime) -> RiskReport:
        return RiskReport.model_validate(
            {
                "tradingDay": now.date(),
                "dayPnL": Decimal("-12.50000000"),
                "openPositions": 1,
                "exposure": Decimal("0E-8"),
                "configHash": "abc",
                "time": now,
            }
        )

    def test_old_or_unknown_figures_are_a_503(self) -> None:
        now = datetime(2026, 11, 24, 18, tzinfo=UTC)
        current: list[RiskReport | None] = [None]
        clock = [now.timestamp() * 1000]

        async def test() -> None:
            app = application(lambda: current[0], lambda: int(clock[0]))
            async with TestClient(TestServer(app)) as client:
                assert (await client.get("/risk")).status == 503
                current[0] = self.report(now)
                answer = await client.get("/risk")
                assert answer.status == 200
                assert answer.content_type == "application/json"
                assert await answer.json() == {
                    "tradingDay": "2026-11-24",
                    "dayPnL": "-12.50000000",
                    "openPositions": 1,
                    "exposure": "0.00000000",
                    "configHash": "abc",
                    "time": "2026-11-24T18:00:00Z",
                }
                assert await (await client.get("/healthz")).json() == {"figuresKnown": True}
                clock[0] += 16_000  # the loop hangs
                assert (await client.get("/risk")).status == 503

        asyncio.run(test())


class TestFiles:
    def test_a_halt_outlives_the_process(self, tmp_path: Path) -> None:
        assert HaltFile(tmp_path / "halt").load() == ""
        HaltFile(tmp_path / "halt").save("2026-11-24")
        assert HaltFile(tmp_path / "halt").load() == "2026-11-24"

    def test_a_file_system_that_refuses_is_no_end(self, tmp_path: Path) -> None:
        HaltFile(tmp_path / "none" / "halt").save("2026-11-24")
        PaperFile(tmp_path / "none" / "paper").save({})

    def test_a_broken_account_is_none(self, tmp_path: Path) -> None:
        for text in ("{", "[" * 100_000):
            (tmp_path / "paper").write_text(text)
            assert PaperFile(tmp_path / "paper").load() is None


class TestLimitsOverTime:
    """Limits that depend on the day, the schedule and the operator."""

    def bot(self, **risk: object) -> RunningBot:
        world = World(3, start=START, volatility=0, apart=0)
        world.price("BTC-USDT", "60000")
        return RunningBot(world, "Grid", {**GRID, "upperPrice": "60000"}, **risk)

    def test_the_daily_loss_limit_ends_entries_for_the_day_and_not_the_stops(self) -> None:
        bot = self.bot(dailyLossLimit="2")
        assert len(bot.prices(Side.BUY)) == 3
        bot.world.price("BTC-USDT", "55000")
        bot.wait()
        assert bot.halts.day == bot.trader.report.trading_day.isoformat()  # type: ignore[union-attr]
        assert bot.prices(Side.BUY) == []
        assert bot.prices(Side.SELL) != []

        bot.world.price("BTC-USDT", "56500")  # it recovers, and restarts
        bot.restart()
        bot.wait(11_000)
        assert bot.prices(Side.BUY) == []

        day = bot.trader.report.trading_day  # type: ignore[union-attr]
        bot.wait(24 * 3_600_000)
        bot.wait()
        assert bot.trader.report.trading_day == day + timedelta(days=1)  # type: ignore[union-attr]
        assert bot.prices(Side.BUY) != []

    def test_a_lower_limit_forbids_adding_and_is_reported_once_it_applies(self) -> None:
        bot = self.bot()
        smaller = config_of("Grid", {**GRID, "upperPrice": "60000"}, maxPositionSize="90")
        bot.trader.configure(smaller.model_copy(update={"config_hash": "smaller"}))
        cancel = bot.account.cancel

        def refuse(_: object) -> Any:
            raise NotAcceptedError("not now")

        bot.account.cancel = refuse  # type: ignore[method-assign]
        bot.wait()
        assert bot.trader.report.config_hash == "abc"  # type: ignore[union-attr]
        bot.account.cancel = cancel  # type: ignore[method-assign]
        bot.wait()
        bot.wait()
        assert bot.trader.report.config_hash == "smaller"  # type: ignore[union-attr]
        orders = bot.account.open_orders("BTC-USDT")
        assert sum(o.remaining for o in orders) * 60_012 <= 90

    def test_no_entry_stays_before_the_schedule_closes_or_during_a_halt(self) -> None:
        for change in ("schedule", "haltedUntil"):
            bot = self.bot()
            now = datetime.fromtimestamp(bot.world.now / 1000, UTC)
            until = (now + timedelta(seconds=50)).isoformat().replace("+00:00", "Z")
            content = bot.config.model_dump(by_alias=True, mode="json", exclude_none=True)
            if change == "schedule":
                later = (now + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
                content["schedule"]["blackouts"] = [{"from": until, "to": later}]
            else:
                content["haltedUntil"] = until
            bot.trader.configure(type(bot.config).model_validate(content))
            bot.wait()
            assert bot.prices(Side.BUY) == [], change
            if change == "haltedUntil":
                bot.wait(60_000)
                assert bot.prices(Side.BUY) != []

    def test_figures_with_an_old_price_are_unknown(self) -> None:
        bot = self.bot()
        bot.world.price("BTC-USDT", "56000")
        bot.wait()
        bot.world.now += 31_000  # the quotes stand still

        with pytest.raises(UnavailableError, match="ms old"):
            asyncio.run(bot.trader.turn())
        assert bot.trader.report is None


class TestProcess:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "bot.json"
        path.write_text(json.dumps(bot_json()))
        return path

    def test_it_serves_trades_reloads_and_ends_on_sigterm(
        self, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World(3, start=START, volatility=0, apart=0)
        world.price("BTC-USDT", "60000")
        exchange, answers = account_in(world), iter([UnavailableError("down")])

        class Open:
            async def close(self) -> None:
                """Nothing is open."""

        async def connect(*_: object, **__: object) -> tuple[object, object]:
            for error in answers:  # the exchange is down at first
                raise error
            return exchange, Open()

        monkeypatch.setattr(runtime, "connect", connect)
        monkeypatch.setattr(runtime, "IDLE_SECONDS", 0.02)
        options = runtime.Options(
            config=config, state=config.parent, host="127.0.0.1", port=unused_port(),
            paper_money=Decimal(1000),
        )  # fmt: skip

        def clock() -> int:
            world.pass_time(500)
            return world.now

        async def seen(session: ClientSession, wanted: str) -> None:
            url = f"http://127.0.0.1:{options.port}/risk"
            async with asyncio.timeout(20):
                while True:
                    try:
                        async with session.get(url) as answer:
                            if answer.status == 200:
                                if (await answer.json())["configHash"] == wanted:
                                    return
                            else:
                                assert answer.status == 503
                    except OSError:
                        pass  # it does not listen yet
                    await asyncio.sleep(0.01)

        async def test() -> None:
            process = asyncio.create_task(runtime.Bot(options, {}, clock).run())
            async with ClientSession() as session:
                await seen(session, "abc")
                config.write_text(json.dumps(bot_json(configHash="new")))  # noqa: ASYNC240
                await seen(session, "new")
            async with asyncio.timeout(20):
                while not exchange.account.open_orders("BTC-USDT"):  # noqa: ASYNC110 - polls
                    await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(process, 20)

        asyncio.run(test())
        assert exchange.account.open_orders("BTC-USDT") == []

    def test_a_bot_that_can_not_work_is_an_error(self, config: Path, tmp_path: Path) -> None:
        live = config_of("Grid", GRID).model_copy(update={"mode": Mode.LIVE})

        async def connect(environment: dict[str, str]) -> None:
            await connecting.connect(
                live, environment, asset="USDT", paper_money=Decimal(1), state=tmp_path,
                clock=lambda: 0,
            )  # fmt: skip

        with pytest.raises(ConfigError, match="no EXCHANGE_API_KEY and no EXCHANGE_API_SECRET"):
            asyncio.run(connect({}))


class TestWhereOrdersGo:
    def test_keys_that_a_gateway_hands_over_are_in_files(self, tmp_path: Path) -> None:
        environment = {
            connecting.API_KEY: "placeholder",
            connecting.API_SECRET: "placeholder",
            "EXCHANGE_API_KEY_FILE": str(tmp_path / "api-key"),
            "EXCHANGE_API_SECRET_FILE": str(tmp_path / "api-secret"),
        }
        with pytest.raises(ConfigError, match="api-key: No such file"):
            connecting._keys(environment)
        for name in ("api-key", "api-secret"):
            (tmp_path / name).write_text(f"the {name}")
        expected = {"apiKey": "the api-key", "secret": "the api-secret"}
        assert connecting._keys(environment) == expected

    @pytest.mark.parametrize("value", ["true", None])
    def test_only_an_exchange_that_says_so_is_simulated(self, value: str | None) -> None:
        async def handle(_: web.Request) -> web.Response:
            return web.Response(headers={connecting.SIMULATED: value} if value else {})

        async def test() -> bool:
            app = web.Application()
            app.router.add_get("/{any:.*}", handle)
            async with TestServer(app) as server:
                return await connecting.says_simulated(str(server.make_url("/")))

        assert asyncio.run(test()) is (value == "true")

    def test_no_address_is_never_asked(self) -> None:
        assert asyncio.run(connecting.says_simulated(None)) is False

    def test_one_that_does_not_answer_is_not_known(self) -> None:
        with pytest.raises(UnavailableError):
            asyncio.run(connecting.says_simulated(f"http://127.0.0.1:{unused_port()}"))

    @pytest.mark.parametrize(
        "url", ["http://e.example", "http://e.example/", "http://e.example/api/v3"]
    )
    def test_the_path_of_the_api_may_be_in_the_address(self, url: str) -> None:
        assert connecting.root_of(url) == "http://e.example"


class BaseError(Exception):
    """As in ccxt."""


class InvalidNonce(BaseError):  # noqa: N818
    """As in ccxt."""


class RequestTimeout(BaseError):  # noqa: N818
    """As in ccxt."""


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "read", "write"),
        [
            (InvalidNonce("clock"), NotAcceptedError, NotAcceptedError),
            (RequestTimeout("slow"), UnavailableError, UnknownOutcomeError),
            (BaseError('{"success":false}'), NotAcceptedError, NotAcceptedError),
            (ValueError("a bug"), ValueError, ValueError),
        ],
    )
    def test_a_refusal_is_told_apart(
        self, error: Exception, read: type[Exception], write: type[Exception]
    ) -> None:
        class Client:
            async def call(self, _: object) -> None:
                raise error

        calls = Calls(Client())
        with pytest.raises(read):
            asyncio.run(calls.read("call"))
        with pytest.raises(write):
            asyncio.run(calls.write("call", {}))

    def test_no_text_of_an_error_has_a_query(self) -> None:
        error = RequestTimeout("binance POST https://e.example/order?signature=5ec7e7&x=1 failed")
        assert "5ec7e7" not in text_of(error)
