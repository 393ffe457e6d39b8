"""Sets up logs, metrics, Sentry and tracing for both processes."""
