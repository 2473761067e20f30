"""The Glossary page: every term, in the visitor's language."""

from __future__ import annotations

from backstage import terms
from backstage.session import Session

terms.draw(Session.current())
