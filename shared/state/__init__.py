"""Keeps the state in Redis: keys, scripts, and the stores that use them."""
