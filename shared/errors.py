"""Defines the errors that the project raises on purpose. Errors of Redis stay redis.RedisError (see `is_outage`).

PlannerError
├── SettingsError       a setting is missing or malformed; the message names it
├── AttemptFailed       an attempt of the agent failed; it carries a code of the contract
└── AttemptLost         the attempt was replaced, ended or expired: nothing more may be written for it
"""

from shared.contract.values import ErrorCode


class PlannerError(Exception):
    """Serves as the base of all errors of this project."""


class SettingsError(PlannerError):
    """Signals that a setting is missing or malformed. The message is one line and names the setting."""


class AttemptFailed(PlannerError):
    """Signals that an attempt has failed, with a code of the contract.

    `worth_retrying` says whether another attempt of the same job may succeed; the contract's
    `retryable`, which is for people, is `is_retryable`. `is_cut`: a limit of time or length ended it,
    and what is whole of its answer counts.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        worth_retrying: bool = False,
        is_retryable: bool | None = None,
        is_cut: bool = False,
    ) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail
        self.worth_retrying = worth_retrying
        self.is_retryable = code.is_retryable if is_retryable is None else is_retryable
        self.is_cut = is_cut


class AttemptLost(PlannerError):
    """Signals that the log refuses an event: the job is gone, has ended, or runs as a later attempt elsewhere."""
