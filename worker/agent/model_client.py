"""Makes the client of the Messages API that all jobs of a process share."""

import httpx2
from anthropic import AsyncAnthropic, DefaultAioHttpClient

SILENCE_SECONDS = 75.0
"""A stream without a byte for this long is broken; pings come about every 30 s while the model thinks."""
LIMITS = httpx2.Limits(max_connections=0, max_keepalive_connections=100)
"""0 is no limit to aiohttp, while None would leave it at its default of 100 connections."""


def model_client(api_key: str, base_url: str | None, silence_seconds: float = SILENCE_SECONDS) -> AsyncAnthropic:
    """Makes the client. It does not retry failures: attempts do that, where viewers can see it."""
    timeout = httpx2.Timeout(connect=10, read=silence_seconds, write=30, pool=30)
    http_client = DefaultAioHttpClient(timeout=timeout, limits=LIMITS)
    return AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=0, http_client=http_client)
