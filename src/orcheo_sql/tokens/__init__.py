"""Minting, rotating, revoking and authenticating service tokens, on top of their repository."""
