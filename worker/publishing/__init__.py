"""Publishing: what the agent writes becomes events in the job's log."""
