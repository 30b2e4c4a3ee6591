"""Pure functions of plain values: the cache that is wanted, the plan that leads there, the status matrix."""
