"""Runs the worker process: reads the settings, waits for Redis, then builds the parts."""

import gc
import itertools
import logging
import sys
from typing import TYPE_CHECKING

from shared.certificates import check_certificates
from shared.checks import port_problem
from shared.errors import SettingsError
from shared.file_limit import raise_file_limit
from shared.settings import WorkerSettings, load
from shared.state import keys
from shared.state.diagnosis import describe, probe
from shared.telemetry import sentry, tracing
from shared.telemetry.logs import set_up_logging
from worker.jobs.shutdown import Shutdown

if TYPE_CHECKING:
    from worker.parts import WorkerProcess

log = logging.getLogger("worker")

REDIS_TIMEOUT_SECONDS = 5.0
FILES_A_JOB, OTHER_FILES = 5, 200
"""A job has a connection to the model, and during a search the pipes of a process."""


def main() -> int:
    """Runs a worker until it is asked to stop. The exit code is 2 for a wrong setting and 1 for a part that fails."""
    try:
        settings = load(WorkerSettings)
        check_certificates()
        keys.use_prefix(settings.redis_prefix)
        set_up_logging(settings)
        sentry.start(settings, trusts_parent_sampling=True)
        tracing.start(settings, "worker")
        shutdown = Shutdown()
        shutdown.install()
        _raise_file_limit(settings)
        if not _wait_for_redis(settings.redis_url, shutdown):
            log.info("stopped before Redis had answered")
            return 0
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    process = _loaded_parts()(settings, shutdown)
    try:
        process.serve_probes()
    except OSError as error:
        port, host = f"METRICS_PORT {settings.metrics_port}", f"METRICS_HOST {settings.metrics_host}"
        print(f"worker: {port_problem(error, port, host)}", file=sys.stderr)
        return 1
    process.run()
    return 0


def _loaded_parts() -> "type[WorkerProcess]":
    """Imports the parts. That takes seconds, mostly for the SDK, so it is done after the settings are checked.

    The garbage collector is off meanwhile: imports leave no garbage, and looking for it would take a fifth of the time.
    """
    gc.disable()
    from worker.parts import WorkerProcess

    gc.freeze()
    gc.enable()
    return WorkerProcess


def _raise_file_limit(settings: WorkerSettings) -> None:
    wanted = FILES_A_JOB * settings.worker_concurrency + OTHER_FILES
    if (files := raise_file_limit(wanted)) < wanted:
        log.warning(
            "may open only %d files (ulimit -n); WORKER_CONCURRENCY=%d needs up to %d",
            files,
            settings.worker_concurrency,
            wanted,
        )


def _wait_for_redis(url: str, shutdown: Shutdown) -> bool:
    """Waits until Redis answers, since a worker may start before it. Returns False if a stop is asked for first.

    Raises SettingsError where waiting would not help.
    """
    for seconds in itertools.count():
        diagnosis = probe(url, timeout_seconds=REDIS_TIMEOUT_SECONDS)
        if diagnosis is None:
            break
        if diagnosis.is_lasting:
            raise SettingsError(describe(url, diagnosis))
        if seconds % 10 == 0:
            log.warning("waiting for Redis: %s", describe(url, diagnosis))
        if shutdown.wait(1):
            return False
    return not shutdown.is_asked
