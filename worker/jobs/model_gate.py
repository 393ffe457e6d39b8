"""Gives one job access to the gate that all workers share in front of the model's provider."""

from dataclasses import dataclass

from redis.exceptions import RedisError

from shared.gate import Delay, Report
from shared.state.gate_store import GateStore
from shared.state.outages import log_failure
from shared.telemetry.metrics import worker_metrics


@dataclass
class ModelGate:
    """Asks the gate of one model for one job. While Redis is away it admits everything; the provider may still refuse.

    `model_label` is the label of the model in the metrics.
    """

    store: GateStore
    model: str
    model_label: str
    job_id: str
    created_ms: int
    has_let_go: bool = False

    async def ask(self, request: str, input_tokens: int) -> Delay | None:
        try:
            delay = await self.store.ask(self.model, request, self.job_id, self.created_ms, input_tokens)
        except RedisError as error:
            log_failure("asking the gate of the model's provider", error, "so the request is sent without it")
            delay = None
        self.has_let_go = self.has_let_go or delay is None
        return delay

    def report(self, request: str, report: Report) -> None:
        if report.outcome in ("refused", "cut"):
            worker_metrics().requests_refused.labels(self.model_label, report.reason.value).inc()
        self.store.report(self.model, request, self.job_id, report)
