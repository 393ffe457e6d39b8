"""Defines the paths of the API, and parses the ids in them."""

import re

PREFIX = "/api/feature-planner"
JOBS = "/suggest-feature"
"""The collection of jobs, below the prefix; one job is below that, by its id."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse_job_id(text: str) -> str | None:
    """Returns the id in the form in which jobs are stored; None where the text is not a UUID."""
    return text.lower() if _UUID.fullmatch(text) else None
