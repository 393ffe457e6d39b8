"""Publishes what the agent writes as events in the job's log."""
