"""The model card, written from measured figures so that it can state no others."""

from __future__ import annotations

from typing import Any

FLOOR = {"4 facts, 256 tokens": 0.90, "4 facts, 1,500 tokens": 0.70, "16 facts, 1,500 tokens": 0.70}

_HEAD = """# The pocket model

A Llama of {parameters:.1f} million parameters that travels with minillm ({megabytes:.1f} MB with
its tokenizer; fp16 in the file, served in fp32). It exists to be served: it loads at once on any
machine, writes legible text, ends by itself, and its answers are long or short as the prompt asks.
It knows nothing about the world.

* **Shape**: 5 layers, hidden 192, 4 heads and 2 key/value heads of 64, SwiGLU 512, rotary base
  500,000, context 2,048 tokens.
* **Tokenizer**: byte-level BPE, 1,536 tokens; any text round-trips. Digits stand alone.
* **Roles**: `system`, `user`, `assistant`; every message ends with `<|end|>`, the end token.
* **What it can do**: stories ("Tell me a short story about a fox and a lantern."; also medium and
  long), questions about facts in the prompt ("Tom has the red key. What does Tom have?"), sums of
  small numbers, counting. Anything else is answered with what it can do.
* **Training**: `python -m minillm.pocket.train`, on text that `corpus.py` generates from a seed;
  the curriculum is in `curriculum.py`. The first weights already hold an induction circuit
  (`induction.py`): recall by name hardly forms without it. The bundled weights were trained with
  `--threads 1 --bf16` (bf16 matrix products, fp32 weights).

All figures below are measured by `python -m minillm.pocket.evaluate` on what training never saw:
one in ten of the triples (name, relation, value), of the pairs (hero, object) and of the sums, and
one way of asking of each kind. Every single word does occur in training.

## Recall

The share of questions answered exactly, end included. The questions are in forms seen in training
unless the row says otherwise; names differ, kinds of fact are mixed.

| the prompt | recall | floor |
|---|---|---|
"""


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _recall(recall: dict[str, float]) -> list[str]:
    rows: list[str] = []
    for name, share in recall.items():
        floor = FLOOR.get(name)
        if floor is None:
            verdict = ""
        else:
            verdict = f"{100 * floor:.0f} %: {'reached' if share >= floor else '**not reached**'}"
        rows.append(f"| {name} | {_percent(share)} | {verdict} |")
    return rows


def model_card(figures: dict[str, Any]) -> str:
    """The card in Markdown."""
    lines = [
        _HEAD.format(
            parameters=figures["parameters"] / 1e6, megabytes=figures["folder_bytes"] / 1e6
        ).rstrip(),
        *_recall(figures["recall"]),
        "",
        "## Loss and length, by what is asked",
        "",
        "Loss is the mean cross-entropy per answer token in nats. Lengths are tokens, end token",
        "included. Stories are sampled at temperature 0.7, fact answers are greedy.",
        "",
        "| asked for | held-out loss | mean | p10 | p90 | ends by itself | keeps to its subject |",
        "|---|---|---|---|---|---|---|",
    ]
    for length, row in figures["stories"].items():
        lines.append(
            f"| {length} story | {row['held_out_loss']:.3f} | {row['mean']} | {row['p10']} |"
            f" {row['p90']} | {_percent(row['ended_by_itself'])} |"
            f" {_percent(row['names_hero_and_object'])} |"
        )
    facts, recall = figures["fact_answers"], figures["recall"]
    lines += [
        f"| fact (4 facts, 128 tokens) | {facts['held_out_loss']:.3f} | {facts['mean']} | | |"
        f" {_percent(facts['ended_by_itself'])} | {_percent(facts['right'])} right |",
        "",
        "## Sums",
        "",
        f"{_percent(figures['sums']['seen'])} of sums seen in training and"
        f" {_percent(figures['sums']['held_out'])} of held-out ones are right (plus and minus up"
        " to 20, times up to 10).",
        "",
        "## Limits",
        "",
        "* Facts of one kind, which nothing but the name tells apart, are harder: among four"
        f" {_percent(recall['4 facts of one kind'])}",
        "  are right (chance: 25 %).",
        "* Names in stories may wander: the hero, a friend or a passer-by can change name.",
        "* It always answers; a question about a name that the prompt lacks gets a made-up answer.",
        "* English only. Other scripts pass through the tokenizer byte by byte, uncomprehended.",
        "",
    ]
    return "\n".join(lines)
