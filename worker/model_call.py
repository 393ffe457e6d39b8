"""One call of the model as a span of the trace: Sentry's own integration does not see the beta endpoint."""

from types import TracebackType

import sentry_sdk

from shared.schemas import TokenUsage


class ModelCall:
    """From the request to the last byte. `usage` is what it cost; None for a call that turned out not to be made."""

    def __init__(self, model: str) -> None:
        self.usage: TokenUsage | None = TokenUsage()
        self._span = sentry_sdk.start_span(op="gen_ai.chat", name=f"chat {model}")
        self._span.set_data("gen_ai.operation.name", "chat")
        self._span.set_data("gen_ai.system", "anthropic")
        self._span.set_data("gen_ai.request.model", model)

    def __enter__(self) -> "ModelCall":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.usage is None:
            return  # what is not finished is not sent
        cached = self.usage.cache_read_tokens + self.usage.cache_creation_tokens
        # Sentry's input tokens include those read from the cache and those written to it.
        self._span.set_data("gen_ai.usage.input_tokens", self.usage.input_tokens + cached)
        self._span.set_data("gen_ai.usage.input_tokens.cached", self.usage.cache_read_tokens)
        self._span.set_data("gen_ai.usage.output_tokens", self.usage.output_tokens)
        self._span.set_data("gen_ai.usage.total_tokens", self.usage.total_tokens)
        self._span.set_status("ok" if error is None else "internal_error")
        self._span.finish()
