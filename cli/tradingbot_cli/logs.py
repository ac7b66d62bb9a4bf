"""Log lines: JSON for machines, text for terminals."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Fields that libraries add to their records.
_FOREIGN = frozenset({"color_message", "settings", "k8s_skip", "k8s_ref"})


class LogSettings(BaseSettings):
    """Settings of the log, common to all processes."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_", frozen=True, extra="ignore")

    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="Format of log lines; auto: text on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Minimum level of log lines."
    )


def configure(settings: LogSettings) -> None:
    """Log to stderr, in this process and its children."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, process, message, and extra fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        part = record.name.removeprefix("tradingbot_").partition(".")[0]
        line = (
            f"{_time(record).astimezone():%H:%M:%S} {record.levelname:<7} {part:<8}"
            f" {_one_line(record.getMessage())}"
        )
        traceback = ""
        for name, value in _fields(record).items():
            if name == "traceback":
                traceback = f"\n{value}"
            else:
                line += f" {name}={_quoted(value)}"
        if record.exc_info:
            traceback += "\n" + self.formatException(record.exc_info)
        return line + traceback.rstrip()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in _FOREIGN
    }


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _one_line(text: str) -> str:
    """Escape line ends: a name that a client chose must not forge a log line."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _quoted(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    text = str(value)
    return text if text and text.isprintable() and " " not in text else json.dumps(text)
