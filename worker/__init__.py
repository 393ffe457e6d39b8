"""Runs the agent for many jobs at once. This package is the worker process."""
