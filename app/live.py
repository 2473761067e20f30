"""The Live page: a recording at once, then a real engine on this machine, on one stage."""

from __future__ import annotations

from backstage import bar, drawn, editor, figures, view
from backstage.session import Session

session = Session.current()
if session.wants_run:
    drawn.closed()
bar.draw(session)
if drawn.is_open():
    editor.draw(session)
else:
    view.draw(session)
    figures.draw(session)
