"""Holds the HTTP resources: each has a module with a blueprint."""
