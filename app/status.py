"""What this process holds: for whoever runs the app for a class."""

from __future__ import annotations

import sys

import streamlit as st
from backstage.shared import engine_room, weights

room = engine_room()
st.json(
    {
        "live_engines": room.num_engines,
        "limit": room.limit,
        "models_in_memory": weights().names,
        "torch_imported": "torch" in sys.modules,
    }
)
