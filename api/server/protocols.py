"""What the server uses of the app: it must not import the modules that define these."""

from collections.abc import Callable
from typing import Any, Protocol


class ServerSettings(Protocol):
    @property
    def request_seconds(self) -> float: ...

    @property
    def max_connections(self) -> int: ...


class ServedStream(Protocol):
    """A viewer that writes to a client's socket after its request is over."""

    when_over: list[Callable[[], object]]

    def start(self, sock: Any) -> None: ...


class ServedApp(Protocol):
    """The services of the app that this process serves."""

    @property
    def settings(self) -> ServerSettings: ...

    def start(self) -> None:
        """Starts what the process does without being asked."""

    def stop_being_ready(self) -> None:
        """Answers readiness probes with 503 from now on."""

    def start_draining(self) -> list[ServedStream]:
        """Ends streams that are opened from now on at once. Returns those that are open."""

    def end_stream(self, stream: ServedStream) -> None:
        """Ends a stream whose job goes on, with a time to come back after."""

    def count_refused_connection(self) -> None: ...
