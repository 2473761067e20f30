"""triton exists for Linux only; what reads and shows X-rays runs anywhere."""

from __future__ import annotations

import sys

collect_ignore = ["test_interpreted.py", "test_run.py"] if sys.platform != "linux" else []
