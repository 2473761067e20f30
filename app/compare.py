"""The Compare page: the same requests, served in two to four ways, on one clock."""

from __future__ import annotations

from backstage import contest, contestants
from backstage.session import Session

session = Session.current()
contestants.draw(session)
contest.draw(session)
