"""The client of the Messages API that all jobs of a process share."""

import httpx2
from anthropic import AsyncAnthropic, DefaultAioHttpClient

TIMEOUT = httpx2.Timeout(connect=10, read=30, write=30, pool=30)
"""30 s without a byte from the model is a broken stream; it sends pings when it thinks."""
LIMITS = httpx2.Limits(max_connections=0, max_keepalive_connections=100)
"""0 is no limit to aiohttp, while None would leave it at its default of 100 connections."""


def model_client(api_key: str, base_url: str | None, timeout: httpx2.Timeout = TIMEOUT) -> AsyncAnthropic:
    """Failures are not retried here: attempts do that, where viewers can see it."""
    http_client = DefaultAioHttpClient(timeout=timeout, limits=LIMITS)
    return AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=0, http_client=http_client)
