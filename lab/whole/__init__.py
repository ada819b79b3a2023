"""Whole sites of twelve services: lost, moved, degraded, drilled."""
