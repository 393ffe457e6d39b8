"""Traces one call of the model as a span, since Sentry's own integration does not cover the beta endpoint."""

from types import TracebackType

import sentry_sdk

from shared.telemetry.tracing import Span
from worker.agent.turn import Turn


class ModelCall:
    """Represents a span that lasts from the request to the last byte of its turn, and records the turn's usage."""

    def __init__(self, model: str, turn: Turn) -> None:
        self._turn = turn
        self._span = sentry_sdk.start_span(op="gen_ai.chat", name=f"chat {model}")
        self._span.set_data("gen_ai.operation.name", "chat")
        self._span.set_data("gen_ai.system", "anthropic")
        self._span.set_data("gen_ai.request.model", model)
        self._otel_span = Span(
            f"chat {model}",
            "CLIENT",
            gen_ai__operation__name="chat",
            gen_ai__provider__name="anthropic",
            gen_ai__request__model=model,
        )

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        usage = self._turn.usage
        cached = usage.cache_read_tokens + usage.cache_creation_tokens
        # Sentry's input tokens include those read from the cache and those written to it.
        self._span.set_data("gen_ai.usage.input_tokens", usage.input_tokens + cached)
        self._span.set_data("gen_ai.usage.input_tokens.cached", usage.cache_read_tokens)
        self._span.set_data("gen_ai.usage.output_tokens", usage.output_tokens)
        self._span.set_data("gen_ai.usage.total_tokens", usage.total_tokens)
        self._span.set_status("ok" if error is None else "internal_error")
        self._span.finish()
        self._otel_span.set(
            gen_ai__usage__input_tokens=usage.input_tokens + cached, gen_ai__usage__output_tokens=usage.output_tokens
        )
        self._otel_span.end(error)
