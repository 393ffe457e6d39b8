"""Implements the sandbox, a local stand-in for the Anthropic Messages API that is reached by URL like the real one.

Nothing in the product imports this package, and it imports nothing of the product: what passes between them
is HTTP. Start it with `python -m worker.sandbox`. Words in the request make it fail on purpose: see `faults.FAULTS`.
"""
