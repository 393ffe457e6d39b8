"""Asks Claude for suggestions. This package is the agent; it knows neither Redis nor RQ."""
