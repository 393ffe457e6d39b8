"""Represents the RQ queue that jobs wait in.

RQ prepares the commands; our scripts run them, so that a job's record and its entry in the queue are written together
or not at all.
"""

from collections.abc import Iterable

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from shared.state import keys
from shared.state.scripts import Argument
from shared.telemetry.tracing import carrier

FUNCTION = "worker.jobs.suggest_features"
"""RQ calls this function for a job. It is a name, so that the API does not import the worker."""
NO_TIMEOUT = -1
"""RQ's time-outs work by signals, in the main thread only; the worker's loop has its own."""


class JobQueue:
    """Prepares the commands of RQ that change the queue."""

    def __init__(self, redis: Redis, failure_ttl_seconds: int) -> None:
        self._redis = redis
        self._failure_ttl_seconds = failure_ttl_seconds
        self.queue = Queue(keys.QUEUE_NAME, connection=redis, serializer=JSONSerializer)
        self.key: str = self.queue.key
        self.intermediate_key: str = self.queue.intermediate_queue_key
        self.started_key: str = self.queue.started_job_registry.key

    def rq_key(self, job_id: str) -> str:
        """Returns the key of RQ's own hash of a job."""
        return Job.key_for(job_id)

    def enqueue_commands(self, job_id: str, *, at_front: bool = False, request_id: str | None = None) -> list[Argument]:
        """Returns what RQ would send to enqueue the job, as arguments for `run_commands` in Lua.

        `request_id` is for the worker's log. The context of the trace is added. A job that is requeued keeps both.
        """
        notes = ({"request_id": request_id} if request_id else {}) | carrier()
        job = self.queue.create_job(
            FUNCTION,
            args=(job_id,),
            job_id=job_id,
            description=f"suggestions for job {job_id}",
            timeout=NO_TIMEOUT,
            result_ttl=0,
            failure_ttl=self._failure_ttl_seconds,
            meta=notes or None,
        )
        pipeline = self._redis.pipeline()
        self.queue.enqueue_job(job, pipeline=pipeline, at_front=at_front)
        return self._taken_from(pipeline)

    def cleanup_commands(self, execution: str) -> list[Argument]:
        """Returns what RQ would send to forget an execution, given as `<job>:<execution>`."""
        abandoned = Execution.from_composite_key(execution, self._redis)
        job = Job(abandoned.job_id, connection=self._redis, serializer=JSONSerializer)
        job.origin = keys.QUEUE_NAME
        pipeline = self._redis.pipeline()
        abandoned.delete(job, pipeline)
        return self._taken_from(pipeline)

    @staticmethod
    def _taken_from(pipeline: Pipeline) -> list[Argument]:
        commands: Iterable[tuple[tuple[Argument, ...], object]] = pipeline.command_stack
        taken: list[Argument] = []
        for arguments, _options in commands:
            taken += (len(arguments), *arguments)
        pipeline.reset()
        return taken
