"""Delivers a job's log as event streams."""
