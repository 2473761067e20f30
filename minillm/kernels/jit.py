"""`triton.jit` without types: kernels are called through a grid, with arguments of the launch
beside their own, which type checkers cannot follow."""

from __future__ import annotations

from typing import Any

import triton

jit: Any = triton.jit
