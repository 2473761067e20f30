"""The app: `streamlit run app/main.py`. Each page is a file of its own."""

from __future__ import annotations

from backstage import shell

shell.run()
