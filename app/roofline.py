"""The Roofline page: what a step costs on a device, before anything runs."""

from __future__ import annotations

from backstage import roof
from backstage.session import Session

roof.draw(Session.current())
