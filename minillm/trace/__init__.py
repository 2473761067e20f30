"""The record of a run, and everything read from it: fold, metrics, blame, narration, exports."""

from minillm.trace.digest import RequestRecord
from minillm.trace.fold import State, TraceError, apply
from minillm.trace.recorder import Recorder
from minillm.trace.records import Closing, Header, Keyframe, Note, SequenceState
from minillm.trace.trace import Trace

__all__ = [
    "Closing",
    "Header",
    "Keyframe",
    "Note",
    "Recorder",
    "RequestRecord",
    "SequenceState",
    "State",
    "Trace",
    "TraceError",
    "apply",
]
