"""Makes the problems that answer a request for a job that the client cannot have."""

from api.http.paths import parse_job_id
from api.http.problems import ApiProblem


def checked_id(text: str) -> str:
    """Returns the id in the form in which jobs are stored. Raises ApiProblem 400."""
    job_id = parse_job_id(text)
    if job_id is None:
        raise ApiProblem(400, "The job's id is not a UUID.")
    return job_id


def gone() -> ApiProblem:
    """Returns the 404 problem for a job that is unknown or has expired."""
    return ApiProblem(404, "There is no such job, or it has expired.")


def foreign() -> ApiProblem:
    """Returns the 403 problem for the job of another user."""
    return ApiProblem(403, "This job belongs to somebody else.")
