"""The state in Redis: keys, scripts, and the stores that use them."""
