"""What image registries say: the digest that a tag points to now. `web.py` alone imports `requests`."""
