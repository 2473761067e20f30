"""Altair charts of a Trace. `series` holds the figures, testable without Altair."""
