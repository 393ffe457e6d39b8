"""Holds what the API and the worker share: the wire contract in Python, and the state in Redis."""

__version__ = "0.1.0"
