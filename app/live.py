"""The Live page: a recording at once, then a real engine on this machine, on one stage."""

from __future__ import annotations

from backstage import bar, figures, view
from backstage.session import Session

session = Session.current()
bar.draw(session)
view.draw(session)
figures.draw(session)
