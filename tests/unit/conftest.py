"""How thorough the property tests are; in CI they try the same examples every time."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "planner",
    deadline=None,
    max_examples=100,
    derandomize="CI" in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("planner")
