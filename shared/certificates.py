"""Checks the certificates of authorities that an operator names for the client of the model's provider."""

import os
import ssl
from pathlib import Path

from shared.errors import SettingsError


def check_certificates() -> None:
    """Raises SettingsError where SSL_CERT_FILE or SSL_CERT_DIR cannot be used; the SDK's client would not start."""
    if path := os.environ.get("SSL_CERT_FILE"):
        try:
            ssl.create_default_context(cafile=path)
        except ssl.SSLError:
            raise SettingsError(f"SSL_CERT_FILE {path} holds no certificates") from None
        except OSError as error:
            raise SettingsError(f"SSL_CERT_FILE {path} cannot be read: {error.strerror}") from None
    elif (path := os.environ.get("SSL_CERT_DIR")) and not Path(path).is_dir():
        raise SettingsError(f"SSL_CERT_DIR {path} is not a directory")
