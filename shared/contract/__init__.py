"""Defines the wire contract as pydantic models."""
