"""The Live page: a recording at once, then a real engine on this machine, on one stage."""

from __future__ import annotations

import streamlit as st
from backstage import bar, figures, view
from backstage.session import Session
from backstage.style import CSS

session = Session.current()
st.html(CSS)
bar.draw(session)
view.draw(session)
figures.draw(session)
