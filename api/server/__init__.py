"""Adapts the server under the app: gunicorn's worker and the clients' sockets."""
