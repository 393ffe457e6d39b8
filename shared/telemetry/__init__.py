"""Logs, metrics and Sentry, for both processes."""
