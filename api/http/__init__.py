"""Holds what all requests and responses of the API have in common."""
