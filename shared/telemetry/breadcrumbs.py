"""Records the main steps of a job as Sentry's breadcrumbs, which show what happened before an error."""

from enum import Enum

import sentry_sdk


class Crumb(Enum):
    """Lists the breadcrumbs, each with its category, level and message."""

    JOB_CREATED = ("job", "info", "job created")
    CANCEL_ASKED = ("job", "info", "cancel asked for")
    STREAM_OPENED = ("stream", "info", "stream opened")
    ATTEMPT_STARTED = ("attempt", "info", "attempt started")
    ATTEMPT_FAILED = ("attempt", "warning", "attempt failed")
    TOOL_USED = ("agent", "info", "tool used")
    COMPLETED = ("job", "info", "job completed")
    CANCELLED = ("job", "info", "job cancelled")
    FAILED = ("job", "error", "job failed")


def add(crumb: Crumb, **facts: str | int | None) -> None:
    """Adds a breadcrumb. The facts are names, numbers and ids, never what a user or the model wrote."""
    if not sentry_sdk.is_initialized():
        return  # the SDK would build the breadcrumb, and a line of its own in the log, before it checks
    category, level, message = crumb.value
    sentry_sdk.add_breadcrumb(category=category, level=level, message=message, data=facts)


def name(transaction: str) -> None:
    """Sets the name of the current transaction, for a request that Flask does not handle."""
    if sentry_sdk.is_initialized():
        sentry_sdk.get_current_scope().set_transaction_name(transaction, source="component")


def tag(*, user_id: str | None = None, **tags: str | int) -> None:
    """Sets tags by which all later events of this request or job can be found in Sentry."""
    if not sentry_sdk.is_initialized():
        return
    scope = sentry_sdk.get_isolation_scope()
    if user_id is not None:
        scope.set_user({"id": user_id})
    for name, value in tags.items():
        scope.set_tag(name, str(value))
