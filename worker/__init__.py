"""The worker: runs the agent for many jobs at once."""
