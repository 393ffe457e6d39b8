"""Delivery: a job's log becomes event streams."""
