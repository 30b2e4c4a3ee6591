"""What operators see of a running keeper."""
