"""Forks RQ's SimpleWorkers from one parent that has loaded the imports, so that they share its memory."""

import os

from redis import Redis
from rq import SimpleWorker
from rq.worker_pool import WorkerPool

import tests.bench.rivals.rq_job  # noqa: F401 (preloaded)

if __name__ == "__main__":
    redis = Redis.from_url(os.environ["REDIS_URL"])
    workers = int(os.environ["RIVALS"])
    WorkerPool(["rival"], connection=redis, num_workers=workers, worker_class=SimpleWorker).start(
        logging_level="WARNING"
    )
