"""Holds what views need. It is built once by `create_app`, and is the same for every request."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from flask import current_app
from redis import Redis

from api.auth.middleware import Authenticator
from api.delivery.admission import Admission
from api.delivery.hub import Hub
from api.delivery.periodic import every
from api.delivery.viewer import Viewer
from shared.settings import ApiSettings
from shared.state.agent_store import AgentStore
from shared.state.job_store import JobStore
from shared.state.outages import outages
from shared.state.sweeper import SWEEP_SECONDS, Sweeper
from shared.telemetry.metrics import api_metrics


@dataclass(frozen=True)
class Services:
    """Holds the parts of the app that its views and the server use."""

    settings: ApiSettings
    redis: Redis
    probe: Redis
    """A client for readiness alone, with a shorter time-out than the others."""
    agents: AgentStore
    jobs: JobStore
    hub: Hub
    admission: Admission
    authenticator: Authenticator
    static: Path
    """The folder of the built web client, which may be missing."""
    sweeper: Sweeper
    stopping: Event = field(default_factory=Event)
    """Set once the process has been asked to stop; it is not ready from then on."""

    def start(self) -> None:
        """Starts the background work of the process."""
        every(SWEEP_SECONDS, self._sweep, "looking for abandoned jobs")

    def _sweep(self) -> None:
        self.sweeper.sweep()
        outages.over()

    def stop_being_ready(self) -> None:
        """Answers readiness probes with 503 from now on."""
        self.stopping.set()

    def start_draining(self) -> list[Viewer]:
        """Returns the open streams. Streams that are opened from now on end at once."""
        return self.hub.start_draining()

    def end_stream(self, viewer: Viewer) -> None:
        """Ends a stream whose job goes on, and tells its client when to reconnect."""
        self.hub.end_stream(viewer)

    def count_refused_connection(self) -> None:
        """Counts a connection that the server refused because too many were open."""
        api_metrics().refused_connections.inc()


def services() -> Services:
    """Returns the services of the app that answers the current request."""
    planner = current_app.extensions["planner"]
    assert isinstance(planner, Services)
    return planner
