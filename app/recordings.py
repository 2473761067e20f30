"""The Recordings page: open a run, take it away, cut it, and say something about its steps."""

from __future__ import annotations

from backstage import archive, view
from backstage.session import Session

session = Session.current()
archive.draw(session)
view.draw_moment(session)
