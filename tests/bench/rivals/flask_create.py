"""Creates a job as the documentation of Flask, pydantic, PyJWT, redis-py and RQ shows it.

It takes four round trips: HSET, EXPIRE, and the two of `Queue.enqueue`. It is run by `gunicorn -k gevent`.
"""

import os
import time
from typing import Literal
from uuid import uuid4

import jwt
from flask import Flask, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from redis import Redis
from rq import Queue

app = Flask(__name__)
redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("rival", connection=redis)
secret = os.environ["AUTH_SECRET"]


class SuggestFeature(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    page_or_component: str = Field(min_length=1, max_length=200)
    feature_type: Literal["enhancement", "new-capability", "optimization", "ui-improvement", "integration"]
    priority_level: Literal["low", "medium", "high", "critical"]
    additional_context: str | None = Field(default=None, max_length=1000)
    custom_model: str | None = None


@app.post("/suggest-feature")
def create() -> tuple[Response, int]:
    try:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        user = jwt.decode(token, secret, algorithms=["HS256"])["sub"]
    except jwt.PyJWTError:
        return jsonify(error="Sign in first."), 401
    try:
        body = SuggestFeature.model_validate(request.get_json())
    except ValidationError as error:
        return jsonify(errors=error.errors(include_url=False, include_context=False)), 422
    job_id, created_at = str(uuid4()), int(time.time() * 1000)
    redis.hset(
        f"job:{job_id}",
        mapping={"user": user, "status": "pending", "createdAt": created_at, "input": body.model_dump_json()},
    )
    redis.expire(f"job:{job_id}", 600)
    queue.enqueue("worker.jobs.suggest_features", job_id)
    answer = {"jobId": job_id, "status": "pending", "createdAt": created_at, "streamUrl": f"/suggest-feature/{job_id}"}
    return jsonify(answer), 202
