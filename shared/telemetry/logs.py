"""Sets up the logs of a process: one line an event on standard output, as JSON or for people."""

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

from shared.settings import Settings

_BUILT_IN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default={})  # noqa: B039 (never changed in place)


def bind(**fields: object) -> None:
    """Adds the fields to every line from here on in this request or job: in this greenlet, or task and its children."""
    _bound.set({**_bound.get(), **fields})


def rebind(**fields: object) -> None:
    """Binds the fields and forgets earlier ones, for a greenlet or thread that is used again."""
    _bound.set(fields)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class ConsoleFormatter(logging.Formatter):
    """Writes a record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {name}={value}" for name, value in _extras(record).items())
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        text = f"{clock} {record.levelname.lower():7} {record.name}: {record.getMessage()}{extras}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {**_bound.get(), **{name: value for name, value in record.__dict__.items() if name not in _BUILT_IN}}


def formatter(settings: Settings) -> logging.Formatter:
    """Returns the formatter for LOG_FORMAT."""
    return JsonFormatter() if settings.log_format == "json" else ConsoleFormatter()


def set_up_logging(settings: Settings) -> None:
    """Sends every logger's lines to standard output."""
    # No line of ours says by which thread and from where it was logged. Finding that out for each costs more than
    # writing it: to `threading` every greenlet is a thread it has not seen before.
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    logging._srcfile = None
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(formatter(settings))
    logging.basicConfig(level=settings.log_level, handlers=[output], force=True)
    for name in ("httpx2", "httpcore2", "rq.worker", "rq.job", "anthropic"):
        # Theirs say for each request or job what ours say once.
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
