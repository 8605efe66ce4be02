"""How values cross the border between Python and each database."""
