"""How fast the operations are, and how far from the limit of their driver: `pytest --benchmark-only`, `orcheo-sql bench`."""
