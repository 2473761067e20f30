"""The prefixes in the KV cache as a tree, at the step at which sharing saves most."""

from __future__ import annotations

from typing import Any

from backstage.speech import say
from minillm.trace.sharing import Node, Sharing, sharing
from minillm.trace.trace import Trace

SAMPLES = 24  # steps that are looked at
MOST_ROOTS = 10


def tree(trace: Trace, step: int | None) -> dict[str, Any] | None:
    """What the front end draws; None where nothing is shared. `step` of None: the best."""
    if not trace.steps:
        return None
    at, found = best(trace) if step is None else (step, sharing(trace, step))
    roots = sorted(found.roots, key=_shared, reverse=True)[:MOST_ROOTS]
    if not any(_shared(root) for root in roots):
        return None
    return {
        "title": say("memory.shared", step=at, n=found.saved_blocks),
        "roots": [_node(root) for root in roots],
    }


def best(trace: Trace) -> tuple[int, Sharing]:
    """Of some steps, the one at which most blocks are saved."""
    count = len(trace.steps)
    steps = sorted({i * (count - 1) // (SAMPLES - 1) for i in range(SAMPLES)})
    found = [(n, sharing(trace, n)) for n in steps]
    return max(found, key=lambda each: each[1].saved_blocks)


def _shared(node: Node) -> int:
    """Blocks at or below `node`, each times its owners but one."""
    own = len(node.blocks) * max(0, len(node.owners) - 1)
    return own + sum(_shared(child) for child in node.children)


def _node(node: Node) -> dict[str, Any]:
    return {
        "blocks": len(node.blocks),
        "words": say("memory.run_of_blocks", n=len(node.blocks)),
        "owners": list(node.owners),
        "cached": node.cached,
        "children": [_node(child) for child in node.children],
    }
