"""The wire contract as pydantic models."""
