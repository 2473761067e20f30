"""Executors: what computes a scheduled batch, for real (torch) or in simulated time."""
