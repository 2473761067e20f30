"""Plausible wrong answers to `attend`, each in two forms, and the key of what is said of it."""

from __future__ import annotations

from typing import Any

HEAD = "import torch\nfrom minillm.lesson.attention import masked_attention\n"

RIGHT = (
    """
def attend(cache, layer, q, k, v):
    if layer in cache:
        k = torch.cat([cache[layer][0], k])
        v = torch.cat([cache[layer][1], v])
    cache[layer] = k, v
    rows = torch.arange(len(q))[:, None] + len(k) - len(q)
    return masked_attention(q, k, v, torch.arange(len(k)) <= rows)
""",
    """
def attend(cache, layer, q, k, v):
    rows = cache.setdefault(layer, [])
    outputs = []
    for i in range(len(q)):
        rows.append((k[i], v[i]))
        keys = torch.stack([key for key, _ in rows])
        values = torch.stack([value for _, value in rows])
        visible = torch.ones(1, len(rows), dtype=torch.bool)
        outputs.append(masked_attention(q[i : i + 1], keys, values, visible))
    return torch.cat(outputs)
""",
)

WRONG = {
    "unwritten": (
        "attend_nothing",
        "def attend(cache, layer, q, k, v):\n    ...\n",
        "def attend(cache, layer, q, k, v):\n    return ...\n",
    ),
    "no mask": (
        "attend_future",
        RIGHT[0].replace("torch.arange(len(k)) <= rows", "rows * 0 + torch.arange(len(k)) >= 0"),
        RIGHT[0].replace("<= rows", "<= len(k) + 0 * rows"),
    ),
    "one too far": (
        "attend_future",
        RIGHT[0].replace("<= rows", "<= rows + 1"),
        RIGHT[0].replace("- len(q)\n", "- len(q) + 1\n"),
    ),
    "one too few": (
        "attend_nan",
        RIGHT[0].replace("<= rows", "< rows"),
        RIGHT[0].replace("- len(q)\n", "- len(q) - 1\n"),
    ),
    "not itself, but for the first": (
        "attend_self",
        RIGHT[0].replace("<= rows", "< rows.clamp(min=1)"),
        RIGHT[0].replace("- len(q)\n", "- len(q) - 1\n    rows = rows.clamp(min=0)\n"),
    ),
    "mask without the past": (
        "attend_blind",
        RIGHT[0].replace(" + len(k) - len(q)", ""),
        RIGHT[0].replace("torch.arange(len(k)) <= rows", "torch.ones(len(q), len(k)).tril() > 0"),
    ),
    "nothing kept": (
        "attend_blind",
        RIGHT[0].replace("cache[layer] = k, v", "pass"),
        RIGHT[0].replace("if layer in cache", "if False"),
    ),
    "new before old": (
        "attend_future",
        RIGHT[0].replace("[cache[layer][0], k]", "[k, cache[layer][0]]").replace(
            "[cache[layer][1], v]", "[v, cache[layer][1]]"
        ),
        RIGHT[1].replace("rows.append(", "rows.insert(0, ").replace(
            "outputs = []", "outputs = []\n    later = rows[:]"
        ).replace("return torch.cat(outputs)", "return torch.cat(outputs[::-1])"),
    ),
    "kept twice": (
        "attend_twice",
        RIGHT[1].replace("rows.append((k[i], v[i]))", "rows += [(k[i], v[i])] * (1 + (i == 1))"),
        RIGHT[0].replace(
            "    rows =",
            "    if len(q) == 1:\n        k, v = torch.cat([k, k[-1:]]), torch.cat([v, v[-1:]])\n"
            "    rows =",
        ).replace("<= rows", "<= rows + 0 * len(k)"),
    ),
    "k and v exchanged": (
        "attend_no_weights",
        RIGHT[0].replace("masked_attention(q, k, v,", "masked_attention(q, v, k,"),
        RIGHT[1].replace("q[i : i + 1], keys, values", "q[i : i + 1], values, keys"),
    ),
    "one place for all layers": (
        "attend_layers",
        RIGHT[0].replace("layer in cache", "0 in cache").replace("cache[layer]", "cache[0]"),
        RIGHT[1].replace("setdefault(layer, [])", "setdefault('all', [])"),
    ),
    "kept outside": (
        "attend_outside",
        "kept = {}\n" + RIGHT[0].replace("cache", "kept").replace("(kept, layer", "(cache, layer"),
        RIGHT[1].replace("(cache, layer, q, k, v)", "(_, layer, q, k, v, cache={})"),
    ),
    "only the last token": (
        "attend_shape",
        RIGHT[0].replace("attention(q, k, v, ", "attention(q[-1:], k, v, ").replace(
            "<= rows)", "<= rows[-1:])"
        ),
        RIGHT[1].replace("return torch.cat(outputs)", "return outputs[-1]"),
    ),
    "a list": (
        "attend_type",
        RIGHT[1].replace("return torch.cat(outputs)", "return outputs"),
        RIGHT[0].replace("rows)", "rows).tolist()"),
    ),
}  # fmt: skip


def function(code: str) -> Any:
    """The `attend` that `code` defines, as a notebook's cell would."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(HEAD + code, "cell", "exec"), names)
    return names["attend"]
