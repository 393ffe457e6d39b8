"""What `python -m worker --check` looks at."""

import os
import subprocess
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import anthropic

from shared.checks import Finding, Verdict, check_redis, run, shown_url
from shared.settings import WorkerSettings
from worker.agent.project import RULE, ripgrep_path

TIMEOUT_SECONDS = 10.0
SAMPLED_FILES = 100


def check_key(settings: WorkerSettings) -> Iterable[Finding]:
    """The key and the models, by a call that costs nothing."""
    client = anthropic.Anthropic(
        api_key=settings.anthropic_api_key,
        base_url=settings.anthropic_base_url,
        max_retries=0,
        timeout=TIMEOUT_SECONDS,
    )
    where = shown_url(str(client.base_url))
    with client:
        try:
            known = {model.id for model in client.models.list(limit=1000)}
        except anthropic.APIStatusError as error:
            yield Finding("FAIL", "key", f"{where} answers {error.status_code}")
            return
        except anthropic.APIError as error:
            yield Finding("FAIL", "key", f"{where} cannot be reached: {type(error).__name__}")
            return
    yield Finding("ok", "key", f"taken by {where}")
    for model in settings.models:
        # Names without a date are aliases, which the list does not hold.
        is_known = any(name == model or name.startswith(f"{model}-2") for name in known)
        is_needed = model == settings.claude_model
        verdict: Verdict = "ok" if is_known else "FAIL" if is_needed else "warn"
        yield Finding(verdict, "model", model if is_known else f"{model} is not known there")


def check_project(settings: WorkerSettings) -> Iterable[Finding]:
    if settings.project_root is None:
        yield Finding("ok", "project", "PROJECT_ROOT is not set: the agent has no tools")
        return
    ripgrep = ripgrep_path()
    if ripgrep is None:
        yield Finding("FAIL", "ripgrep", "not found")
        return
    version = subprocess.run([ripgrep, "--version"], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)  # noqa: S603
    yield Finding("ok", "ripgrep", version.stdout.splitlines()[0])
    # Lists what the agent could see; the first files are enough.
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
        yield Finding("warn", "project", f"{settings.project_root} shows no file")
        return
    linked = sum(Path(settings.project_root, os.fsdecode(path)).lstat().st_nlink > 1 for path in listed)
    yield Finding("ok", "project", settings.project_root)
    if linked:
        told = f"{linked} of {len(listed)} files have a second name (hard links) and are not read; copy the project"
        yield Finding("warn", "project", told)


def main() -> int:
    return run(WorkerSettings, [check_redis, check_key, check_project])
