"""The app: `streamlit run app/main.py`. Each page is a file of its own."""

from __future__ import annotations

import streamlit as st

st.set_page_config(page_title="minillm", page_icon="▦", layout="wide")
st.navigation(
    [
        st.Page("live.py", title="Live", default=True),
        st.Page("status.py", title="Status", visibility="hidden"),
    ],
    position="hidden",
).run()
