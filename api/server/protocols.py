"""Declares what the server uses of the app, since it must not import the modules that define it."""

from collections.abc import Callable
from typing import Any, Protocol


class ServerSettings(Protocol):
    """Has the settings that the server reads."""

    @property
    def request_seconds(self) -> float: ...

    @property
    def max_connections(self) -> int: ...


class ServedStream(Protocol):
    """Represents a viewer that writes to a client's socket after its request is over."""

    when_over: list[Callable[[], object]]

    def start(self, sock: Any) -> None:
        """Takes over the socket; None where it is closed already."""


class ServedApp(Protocol):
    """Gives access to the services of the app that this process serves."""

    @property
    def settings(self) -> ServerSettings: ...

    def start(self) -> None:
        """Starts the background work of the process."""

    def stop_being_ready(self) -> None:
        """Answers readiness probes with 503 from now on."""

    def start_draining(self) -> list[ServedStream]:
        """Returns the open streams. Streams that are opened from now on end at once."""

    def end_stream(self, stream: ServedStream) -> None:
        """Ends a stream whose job goes on, and tells its client when to reconnect."""

    def count_refused_connection(self) -> None:
        """Counts a connection that was refused because too many were open."""
