"""What this process holds: for whoever runs the app for a class."""

from __future__ import annotations

import sys
import time

import streamlit as st
from backstage.shared import engine_room, weights
from backstage.speech import say

room, models = engine_room(), weights().names
lines = [
    say(
        "app.status_engine",
        scheduler=run.recorder.header.scheduler,
        steps=str(len(run.recorder.trace.steps)),
        state=say("app.status_playing" if run.playing else "app.status_paused"),
    )
    for run in room.runs
]
st.title(say("app.page_status"))
st.text(say("app.status_engines", limit=room.limit, n=len(lines)))
entries = "".join(f'<li data-testid="status-engine">{line}</li>' for line in lines)
st.html(f'<ul data-testid="status-engines">{entries}</ul>')
st.text(say("app.status_models", names=", ".join(models) or say("app.status_no_models")))
st.text(say("app.status_torch" if "torch" in sys.modules else "app.status_no_torch"))
engines = f"{sum(run.cpu_seconds for run in room.runs):.3f}"
cpu = say("app.status_cpu", process=f"{time.process_time():.3f}", engines=engines)
st.html(f'<p data-testid="status-cpu">{cpu}</p>')
