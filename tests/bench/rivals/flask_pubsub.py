"""Serves streams as tutorials show it: with Flask, and a pub/sub connection for each client.

It is run by `gunicorn -k gevent`, as the documentation of Flask and gunicorn advises for streams.
"""

import os
from collections.abc import Iterator

from flask import Flask, Response
from redis import Redis

app = Flask(__name__)
# The default limit of redis-py would refuse client 101.
redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=100_000)


@app.get("/stream/<job_id>")
def stream(job_id: str) -> Response:
    def events() -> Iterator[str]:
        pubsub = redis.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(f"suggestion:{job_id}:live")
        try:
            yield "retry: 1000\n\n"
            for message in pubsub.listen():
                event_id, name, data = message["data"].decode().split(" ", 2)
                yield f"id: {event_id}\nevent: {name}\ndata: {data}\n\n"
        finally:
            pubsub.close()

    return Response(events(), mimetype="text/event-stream")
