"""The kernel X-ray: which memory each program of a Triton kernel touches, in which order.

    from minillm.xray import Case, xray

    seen = xray(Case(seq_lens=(9, 6), query_lens=(1, 3)))

The kernel runs under Triton's interpreter in a process of its own and is watched from outside;
nothing is computed from the case. Importing this, and reading a saved X-ray, needs neither torch
nor triton. docs/xray.md has the file and what is counted how.
"""

from minillm.xray.case import EXAMPLE, Case, XRayError
from minillm.xray.file import bundled_xray, load, save
from minillm.xray.of_trace import case_of
from minillm.xray.records import Access, Launch, Program, Site, Tensor, Value, XRay
from minillm.xray.run import xray, xrays

__all__ = [
    "EXAMPLE",
    "Access",
    "Case",
    "Launch",
    "Program",
    "Site",
    "Tensor",
    "Value",
    "XRay",
    "XRayError",
    "bundled_xray",
    "case_of",
    "load",
    "save",
    "xray",
    "xrays",
]
