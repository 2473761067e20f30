"""The record of a run, and everything read from it: fold, metrics, blame, narration, exports."""
