"""How the cache changes: what to do next, and which pins a change must not release."""
