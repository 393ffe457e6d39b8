"""The HTTP resources: one module a resource, each with a blueprint."""
