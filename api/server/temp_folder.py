"""The folder for what the web process keeps in files while it runs: its metrics, and gunicorn's signs of life.

Loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import os
import tempfile

from shared.errors import SettingsError


def temp_folder() -> str:
    """Returns TMPDIR, or the system's folder where that is not set. Raises SettingsError where it takes no files.

    Python would pass over a TMPDIR that cannot be written to, and take another one without a word.
    """
    try:
        folder = os.environ.get("TMPDIR") or tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        # The system's text where none of its folders can be used names them all.
        where = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
        raise SettingsError(
            f"TMPDIR: {where} cannot be written to ({error.strerror}); the metrics are kept there"
        ) from None
    return folder
