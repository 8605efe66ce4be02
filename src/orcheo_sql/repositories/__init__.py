"""Thin classes between callers and the SQL files: one per subsystem, for both databases."""
