"""Which image is on which node, what is wrong, and what to do about it."""
