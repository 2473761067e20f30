"""Altair charts: of a Trace (`series` holds the figures, testable without Altair), of a sweep, of a
roofline; each of plain data, and knowing no engine."""
