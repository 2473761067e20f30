"""The Kernel page: an X-ray of the attention kernel, which plays."""

from __future__ import annotations

from backstage import xrayed
from backstage.session import Session

xrayed.draw(Session.current())
