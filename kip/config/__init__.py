"""The settings: their table, the image list's grammar, image references, and where they come from."""
