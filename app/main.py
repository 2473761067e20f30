"""The app: `streamlit run app/main.py`. Each page is a file of its own.

Streamlit imports this file once, for the server with its routes, and runs it for each visitor.
"""

from __future__ import annotations

if __name__ == "__main__":
    from backstage import shell

    shell.run()
else:
    from backstage.feeds import route
    from streamlit.starlette import App

    app = App(__file__, routes=[route()])
