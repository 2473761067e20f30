"""The Blocking page: who waited for whom, and the moment at which it hurt most."""

from __future__ import annotations

from backstage import bar, blocked, view
from backstage.session import Session

session = Session.current()
bar.draw(session)
blocked.draw(session)
view.draw_moment(session)
