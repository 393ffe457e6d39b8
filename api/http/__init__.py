"""What every request and response of the API has in common."""
