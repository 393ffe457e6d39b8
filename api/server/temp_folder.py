"""Finds the folder for the temporary files of the web process: its metrics, and gunicorn's heartbeats.

It is loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import os
import tempfile

from shared.errors import SettingsError


def temp_folder() -> str:
    """Returns TMPDIR, or the system's folder where that is not set. Raises SettingsError if it cannot be written to.

    Python would silently ignore a TMPDIR that cannot be written to, and use another folder.
    """
    try:
        folder = os.environ.get("TMPDIR") or tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        # If no folder can be used, the system's message lists all of them.
        where = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
        raise SettingsError(
            f"TMPDIR: {where} cannot be written to ({error.strerror}); the metrics are kept there"
        ) from None
    return folder
