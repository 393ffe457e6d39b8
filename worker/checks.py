"""Defines the checks of `python -m worker --check`."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from shared.certificates import check_certificates
from shared.checks import Finding, Verdict, check_port, check_redis, run, shown_url
from shared.errors import SettingsError
from shared.settings import WorkerSettings

if TYPE_CHECKING:
    from anthropic.types import ModelInfo

TIMEOUT_SECONDS = 10.0
SAMPLED_FILES = 100


def check_key(settings: WorkerSettings) -> Iterable[Finding]:
    """Yields whether the key and the models can be used, by a call that costs nothing."""
    try:
        check_certificates()
    except SettingsError as error:
        yield Finding("FAIL", "certificates", str(error))
        return
    import anthropic  # this import takes seconds, and a wrong setting can be reported without it

    client = anthropic.Anthropic(
        api_key=settings.anthropic_api_key,
        base_url=settings.anthropic_base_url,
        max_retries=0,
        timeout=TIMEOUT_SECONDS,
    )
    where = shown_url(str(client.base_url))
    with client:
        try:
            known = {model.id: model for model in client.models.list(limit=1000)}
        except anthropic.APIStatusError as error:
            wrong = "ANTHROPIC_API_KEY" if error.status_code in (401, 403) else "ANTHROPIC_BASE_URL"
            yield Finding("FAIL", "key", f"{wrong}: {where} answers {error.status_code}")
            return
        except anthropic.APIError as error:
            yield Finding("FAIL", "key", f"ANTHROPIC_BASE_URL: {where} cannot be reached: {type(error).__name__}")
            return
    yield Finding("ok", "key", f"accepted by {where}")
    for model in settings.models:
        yield _model(model, known, is_needed=model == settings.claude_model)


def _model(name: str, known: "Mapping[str, ModelInfo]", *, is_needed: bool) -> Finding:
    setting = "CLAUDE_MODEL" if is_needed else "ALLOWED_MODELS"
    verdict: Verdict = "FAIL" if is_needed else "warn"
    # A name without a date is an alias of the latest model of that name; the list has no aliases.
    ids = sorted(model for model in known if model == name or model.startswith(f"{name}-2"))
    if not ids:
        return Finding(verdict, "model", f"{setting}: {name} is not known to the provider")
    info = known[ids[-1]]
    lifecycle = getattr(info, "lifecycle", None) or "active"  # some gateways leave it out
    if lifecycle == "retired":
        return Finding(verdict, "model", f"{setting}: {name} is retired")
    if lifecycle == "deprecated":
        ends = getattr(info, "retires_at", None)
        until = f"; it ends on {ends:%Y-%m-%d}" if ends else ""
        return Finding("warn", "model", f"{setting}: {name} is deprecated{until}")
    return Finding("ok", "model", name)


def check_project(settings: WorkerSettings) -> Iterable[Finding]:
    """Yields whether ripgrep is there, and whether the project has files to read."""
    if settings.project_root is None:
        yield Finding("ok", "project", "PROJECT_ROOT is not set: the agent has no tools")
        return
    from worker.agent.project import RULE, ripgrep_path

    ripgrep = ripgrep_path()
    if ripgrep is None:
        yield Finding("FAIL", "ripgrep", "rg is not installed; the worker's packages contain it")
        return
    version = subprocess.run([ripgrep, "--version"], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)  # noqa: S603
    yield Finding("ok", "ripgrep", version.stdout.splitlines()[0])
    # The first files are enough to show that there is something to read.
    with subprocess.Popen(  # noqa: S603
        [ripgrep, *RULE, "--files", "./"],
        cwd=settings.project_root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as files:
        assert files.stdout is not None
        listed = [line.rstrip(b"\n") for line in islice(files.stdout, SAMPLED_FILES)]
        files.kill()
    if not listed:
        yield Finding("warn", "project", f"PROJECT_ROOT: {settings.project_root} has no file that the agent may read")
        return
    linked = sum(Path(settings.project_root, os.fsdecode(path)).lstat().st_nlink > 1 for path in listed)
    yield Finding("ok", "project", settings.project_root)
    if linked:
        text = f"{linked} of {len(listed)} files have a second name (hard links) and are not read; copy the project"
        yield Finding("warn", "project", text)


def check_times(settings: WorkerSettings) -> Iterable[Finding]:
    """Yields whether a job may expire while it runs: events prolong its life, and a model may think without writing."""
    kept, timeout = settings.job_ttl_seconds, settings.job_timeout_seconds
    if kept < timeout:
        text = f"JOB_TTL_SECONDS ({kept}) is less than JOB_TIMEOUT_SECONDS ({timeout}): a job that runs expires if its"
        yield Finding("warn", "times", f"{text} model writes nothing for {kept} s")


def check_metrics_port(settings: WorkerSettings) -> Iterable[Finding]:
    """Yields whether METRICS_PORT can be listened on, if it is set."""
    if settings.metrics_port is not None:
        yield check_port("METRICS_PORT", settings.metrics_host, settings.metrics_port, "METRICS_HOST")


def main() -> int:
    return run(WorkerSettings, [check_redis, check_key, check_project, check_times, check_metrics_port])
