"""Runs a job as the documentation of RQ and Anthropic shows it: a plain function that streams an answer into Redis.

It sends one command for each piece, the cheapest that lets a viewer who joins late read from the start.
"""

import os

import anthropic
from redis import Redis

client = anthropic.Anthropic()
redis = Redis.from_url(os.environ["REDIS_URL"])


def suggest_features(job_id: str, page: str) -> None:
    events = f"job:{job_id}:events"
    with client.messages.stream(
        model="sandbox",
        max_tokens=16384,
        messages=[{"role": "user", "content": page}],
    ) as stream:
        for text in stream.text_stream:
            redis.xadd(events, {"event": "delta", "text": text})
        answer = stream.get_final_text()
    redis.xadd(events, {"event": "complete", "text": answer})
    redis.expire(events, 600)
