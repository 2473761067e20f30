"""The version of minillm, as written into traces."""

__version__ = "0.1.0"
