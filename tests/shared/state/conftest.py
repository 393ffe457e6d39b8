"""Provides a job store to each test."""

from collections.abc import Iterator

import pytest
from redis import Redis

from shared.state.job_store import JobStore
from tests.conftest import ApiSettingsFactory
from tests.shared.state.builders import Make


@pytest.fixture
def make(redis: Redis, api_settings: ApiSettingsFactory) -> Make:
    return lambda **fields: JobStore(redis, api_settings(completed_retention_seconds=500, **fields))


@pytest.fixture
def store(make: Make, redis: Redis) -> Iterator[JobStore]:
    """Provides a store. Fails if the test leaves a key of a job that does not expire."""
    yield make()
    for key in redis.scan_iter("suggestion:*"):
        assert redis.pttl(key) > 0, key
