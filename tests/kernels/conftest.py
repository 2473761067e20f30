"""triton exists for Linux only, and interpreted kernels do not compile."""

from __future__ import annotations

import os
import sys

collect_ignore = []
if sys.platform != "linux":
    collect_ignore = ["test_triton.py", "test_compiles.py"]
elif "TRITON_INTERPRET" in os.environ:
    collect_ignore = ["test_compiles.py"]
