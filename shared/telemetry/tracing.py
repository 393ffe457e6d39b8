"""Sends traces by OpenTelemetry where OTEL_EXPORTER_OTLP_ENDPOINT is set; elsewhere it does not even import it.

One trace leads from the POST over the job to each call of the model. Spans bear names, numbers and ids, never what a
user or the model wrote.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from shared import __version__
from shared.settings import Settings

Kind = Literal["SERVER", "PRODUCER", "CONSUMER", "CLIENT"]
Value = str | int | float | bool

TRACEPARENT = "traceparent"
"""The name of a trace's context in a job's entry, the same as the header of the W3C. Older workers ignore it."""
MAX_TRACEPARENT = 100
"""Characters; a context has 55."""
EXPORT_SECONDS = 5
"""A collector that does not answer in this time loses these spans. Nothing of a job waits for it."""

_tracer: Any = None


def start(settings: Settings, half: str) -> None:
    """Starts tracing where an endpoint is set. `load` has checked that the packages are installed."""
    global _tracer
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    resource = Resource.create({"service.name": f"feature-planner-{half}", "service.version": __version__})
    provider = TracerProvider(resource=resource)  # it sends what is left when the process ends
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # A collector that is away has alerts of its own; without this there would be a line for each batch.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    _tracer = provider.get_tracer("feature-planner", __version__)


class Span:
    """Represents a span, which lasts from its creation to its `end`. Its parent is the span that is current before."""

    def __init__(self, name: str, kind: Kind, parent: object = None, **attributes: Value) -> None:
        """Begins the span. `parent` is a context that `carrier` returned; any other value is ignored."""
        self._span: Any = None
        if _tracer is not None:
            from opentelemetry.trace import SpanKind

            self._span = _tracer.start_span(
                name, context=_context(parent), kind=SpanKind[kind], attributes=_named(attributes)
            )

    def set(self, **attributes: Value) -> None:
        """Adds attributes to the span."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))

    def end(self, error: BaseException | None = None) -> None:
        """Ends the span. Of an error it records only the class, since the message may hold what a user wrote."""
        if self._span is None:
            return
        if error is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR))
            self._span.set_attribute("error.type", type(error).__name__)
        self._span.end()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes this span the parent of those begun inside the block, and ends it afterwards."""
        if self._span is None:
            yield
            return
        from opentelemetry.trace import use_span

        error: BaseException | None = None
        try:
            with use_span(self._span, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.end(error)


def carrier() -> dict[str, str]:
    """Returns the context of the current span, to be stored with a job; empty where nothing is traced."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(found)
    return {TRACEPARENT: found[TRACEPARENT]} if TRACEPARENT in found else {}


def _context(parent: object) -> Any:
    if not isinstance(parent, str) or len(parent) > MAX_TRACEPARENT:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: parent})


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the attributes by OpenTelemetry's names, which have dots where Python's have two underscores."""
    return {name.replace("__", "."): value for name, value in attributes.items()}
