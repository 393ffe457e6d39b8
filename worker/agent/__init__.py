"""The agent: it asks Claude for suggestions, and knows neither Redis nor RQ."""
