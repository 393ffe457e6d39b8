"""Authenticates requests."""
