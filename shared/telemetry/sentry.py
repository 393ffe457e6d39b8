"""Sends errors and traces to Sentry where SENTRY_DSN is set."""

from collections.abc import Sequence
from typing import Any

import sentry_sdk
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.rq import RqIntegration
from sentry_sdk.integrations.stdlib import StdlibIntegration

from shared import __version__
from shared.settings import Settings
from shared.telemetry.scrubbing import scrub_breadcrumb, scrub_event


def start(settings: Settings, integrations: Sequence[Integration] = (), *, trusts_parent_sampling: bool) -> None:
    """Starts reporting. Both processes need RQ's integration: it carries the trace through the queue."""
    if settings.sentry_dsn:
        sentry_sdk.init(
            **options(settings, [RqIntegration(), *integrations], trusts_parent_sampling=trusts_parent_sampling)
        )


def options(settings: Settings, integrations: Sequence[Integration], *, trusts_parent_sampling: bool) -> dict[str, Any]:
    """Returns the SDK's options.

    `trusts_parent_sampling` says whether the caller decides if a trace is kept: the API may decide for the worker,
    but a client must not decide for the API.
    """
    rate = settings.sentry_traces_sample_rate

    def sample(context: dict[str, Any]) -> float:
        parent = context.get("parent_sampled")
        return float(parent) if trusts_parent_sampling and parent is not None else rate

    return {
        "dsn": settings.sentry_dsn,
        "environment": settings.sentry_environment,
        "release": __version__,
        # Without a sampler there are no traces at all, not even those a client's header asks for.
        "traces_sampler": sample if rate else None,
        # Personal data is off as long as neither `send_default_pii` nor `data_collection` is given.
        "include_local_variables": False,
        "max_request_body_size": "never",
        # Integrations that enable themselves would record Redis's commands and the SDK's calls with their contents.
        "auto_enabling_integrations": False,
        # This one records the arguments of subprocesses, which contain what the model searches for.
        "disabled_integrations": [StdlibIntegration()],
        "integrations": integrations,
        # Spans stay in their transaction, a form that every Sentry server takes.
        "stream_gen_ai_spans": False,
        "before_send": scrub_event,
        "before_send_transaction": scrub_event,
        "before_breadcrumb": scrub_breadcrumb,
    }
