"""The Memory page: the same requests in three memories, and where the slots went."""

from __future__ import annotations

from backstage import bar, held
from backstage.session import Session

session = Session.current()
bar.draw(session)
held.draw(session)
