"""What this process holds: for whoever runs the app for a class."""

from __future__ import annotations

import sys

import streamlit as st
from backstage.shared import engine_room, weights

room, models = engine_room(), weights().names
lines = [
    f'<li data-testid="status-engine">{run.recorder.header.scheduler}: '
    f"{len(run.recorder.trace.steps)} steps, {'playing' if run.playing else 'paused'}</li>"
    for run in room.runs
]
st.title("Status")
st.text(f"Live engines, of {room.limit} at most: {len(lines)}")
st.html(f'<ul data-testid="status-engines">{"".join(lines)}</ul>')
st.text(f"Models in memory: {', '.join(models) or 'none yet'}")
st.text(f"torch: {'loaded' if 'torch' in sys.modules else 'not loaded yet'}")
