"""Runs a worker as RQ's "performance notes" advise: it loads the job's imports, then runs jobs without forking."""

import os

from redis import Redis
from rq import Queue, SimpleWorker

import tests.bench.rivals.rq_job  # noqa: F401 (preloaded)

if __name__ == "__main__":
    redis = Redis.from_url(os.environ["REDIS_URL"])
    SimpleWorker([Queue("rival", connection=redis)], connection=redis).work(logging_level="WARNING")
