"""Plausible wrong answers to `select`, each in two forms, and the key of what is said of it."""

from __future__ import annotations

from typing import Any

HEAD = "from minillm.request import Status\n"

RIGHT = (
    """
def select(pool, max_num_seqs, max_num_batched_tokens, num_slots):
    reserved = sum(r.max_total_tokens for r in pool if r.status is Status.RUNNING)
    batch, tokens = [], 0
    for request in sorted(pool, key=lambda request: request.arrival_time):
        needs = request.num_uncomputed_tokens
        if len(batch) == max_num_seqs or tokens + needs > max_num_batched_tokens:
            break
        if request.status is Status.WAITING:
            if reserved + request.max_total_tokens > num_slots:
                break
            reserved += request.max_total_tokens
        batch.append(request)
        tokens += needs
    return batch
""",
    """
def select(pool, max_num_seqs, max_num_batched_tokens, num_slots):
    batch = [request for request in pool if request.status is Status.RUNNING]
    waiting = [request for request in pool if request.status is Status.WAITING]
    waiting.sort(key=lambda request: request.arrival_time)
    tokens_left = max_num_batched_tokens - len(batch)
    slots_left = num_slots - sum(request.max_total_tokens for request in batch)
    while waiting and len(batch) < max_num_seqs:
        first = waiting.pop(0)
        tokens_left -= first.num_prompt_tokens
        slots_left -= first.max_total_tokens
        if tokens_left < 0 or slots_left < 0:
            break
        batch.append(first)
    return batch
""",
)
ONE, TWO = RIGHT

WRONG = {
    "unwritten": (
        "select_nothing",
        "def select(pool, max_num_seqs, max_num_batched_tokens, num_slots):\n    ...\n",
        ONE.replace("    return batch\n", ""),
    ),
    "ids in place of requests": (
        "select_member",
        ONE.replace("batch.append(request)", "batch.append(request.request_id)"),
        TWO.replace("return batch", "return {r.request_id: r for r in batch}"),
    ),
    "how many, not who": (
        "select_type",
        ONE.replace("return batch", "return len(batch)"),
        TWO.replace("return batch", "return batch[0] if len(batch) < 2 else len(batch)"),
    ),
    "nobody joins before the batch is empty": (
        "select_static",
        ONE.replace(
            "    batch, tokens",
            "    running = [r for r in pool if r.status is Status.RUNNING]\n"
            "    if running:\n        return running\n    batch, tokens",
        ),
        TWO.replace("while waiting and", "joins = not batch\n    while joins and waiting and"),
    ),
    "one newcomer a step": (
        "select_room",
        TWO.replace("while waiting and len", "if waiting and len").replace(
            "            break", "            return batch"
        ),
        ONE.replace(
            "            reserved += request",
            "            if any(r.status is Status.WAITING for r in batch):\n"
            "                break\n            reserved += request",
        ),
    ),
    "max_num_seqs forgotten": (
        "select_seqs",
        ONE.replace("len(batch) == max_num_seqs or ", ""),
        TWO.replace("while waiting and len(batch) < max_num_seqs", "while waiting"),
    ),
    "max_num_seqs of newcomers alone": (
        "select_seqs_running",
        TWO.replace("len(batch) < max", "sum(r.status is Status.WAITING for r in batch) < max"),
        ONE.replace("batch, tokens = [], 0", "batch, tokens, new = [], 0, 0")
        .replace("len(batch) == max_num_seqs", "new == max_num_seqs")
        .replace("            reserved +=", "            new += 1\n            reserved +="),
    ),
    "one too many": (
        "select_seqs",
        ONE.replace("len(batch) == max", "len(batch) > max"),
        TWO.replace("len(batch) < max", "len(batch) <= max"),
    ),
    "one twice": (
        "select_twice",
        TWO.replace(
            "for request in pool if request.status is Status.WAITING", "for request in pool"
        ),
        ONE.replace("batch.append(request)", "batch += [request] * (1 + (request is pool[0]))"),
    ),
    "ended ones kept from step to step": (
        "select_stranger",
        "kept = []\n"
        + ONE.replace(
            "    return batch",
            "    kept.extend(r for r in batch if r not in kept)\n    return kept",
        ),
        TWO.replace("num_slots):", "num_slots, kept={}):").replace(
            "return batch", "kept.update({id(r): r for r in batch})\n    return list(kept.values())"
        ),
    ),
    "newcomers first": (
        "select_starved",
        ONE.replace(
            "key=lambda request: request.arrival_time",
            "key=lambda r: (r.status is Status.RUNNING, r.arrival_time)",
        ),
        TWO.replace("len(batch) < max_num", "len(new) < max_num")
        .replace("batch.append(first)", "new.append(first)")
        .replace("    while", "    new = []\n    while")
        .replace("return batch", "return (new + batch)[:max_num_seqs]"),
    ),
    "newcomers alone": (
        "select_starved",
        TWO.replace(
            "return batch", "return [r for r in batch if r.status is Status.WAITING] or batch"
        ),
        ONE.replace("        batch.append(request)", "            batch.append(request)"),
    ),
    "a prompt stops the decodes": (
        "select_starved",
        TWO.replace("return batch", "return [r for r in batch if not r.in_decode] or batch"),
        ONE.replace(
            "    return batch",
            "    if tokens > len(batch):\n"
            "        batch = [r for r in batch if r.num_uncomputed_tokens > 1]\n"
            "    return batch",
        ),
    ),
    "no token budget": (
        "select_tokens",
        ONE.replace(" or tokens + needs > max_num_batched_tokens", ""),
        TWO.replace("tokens_left < 0 or ", ""),
    ),
    "the budget for each request by itself": (
        "select_tokens",
        ONE.replace("tokens + needs >", "needs >"),
        TWO.replace("tokens_left < 0 or ", "first.num_prompt_tokens > max_num_batched_tokens or "),
    ),
    "decodes are not counted": (
        "select_tokens_decodes",
        TWO.replace(" - len(batch)\n", "\n"),
        ONE.replace("        tokens += needs", "        tokens += needs if needs > 1 else 0"),
    ),
    "the prompt is counted again": (
        "select_read_again",
        TWO.replace(" - len(batch)\n", " - sum(r.num_tokens for r in batch)\n"),
        ONE.replace("request.num_uncomputed_tokens", "request.num_prompt_tokens"),
    ),
    "no memory": (
        "select_slots",
        ONE.replace("if reserved + request.max_total_tokens > num_slots", "if False"),
        TWO.replace(" or slots_left < 0", ""),
    ),
    "what those who run hold is not counted": (
        "select_slots_running",
        ONE.replace("sum(r.max_total_tokens for r in pool if r.status is Status.RUNNING)", "0"),
        TWO.replace(" - sum(request.max_total_tokens for request in batch)", ""),
    ),
    "room for the prompt alone": (
        "select_slots_answers",
        ONE.replace("max_total_tokens", "num_prompt_tokens"),
        TWO.replace("first.max_total_tokens", "first.num_prompt_tokens"),
    ),
    "reserved anew in each step": (
        "select_held_twice",
        ONE.replace("        if request.status is Status.WAITING:\n", "        if True:\n"),
        TWO.replace("max_total_tokens for request", "max_total_tokens * 2 for request"),
    ),
    "past one that does not fit": (
        "select_bypass",
        ONE.replace("break", "continue"),
        TWO.replace(
            "            break",
            "            tokens_left += first.num_prompt_tokens\n"
            "            slots_left += first.max_total_tokens\n"
            "            continue",
        ),
    ),
    "not in order of arrival": (
        "select_order",
        TWO.replace("    waiting.sort(key=lambda request: request.arrival_time)\n", ""),
        ONE.replace("lambda request: request.arrival_time", "lambda r: r.status is Status.WAITING"),
    ),
    "the shortest first": (
        "select_order",
        ONE.replace(
            "request: request.arrival_time", "r: (r.status is Status.WAITING, r.num_prompt_tokens)"
        ),
        TWO.replace("request: request.arrival_time", "request: request.max_total_tokens"),
    ),
    "the last first": (
        "select_order",
        TWO.replace("waiting.pop(0)", "waiting.pop()"),
        ONE.replace(
            "request: request.arrival_time", "r: (r.status is Status.WAITING, -r.arrival_time)"
        ),
    ),
    "names sorted as text": (
        "select_order",
        TWO.replace("request: request.arrival_time", "request: request.request_id"),
        ONE.replace(
            "request: request.arrival_time", "r: (r.status is Status.WAITING, r.request_id)"
        ),
    ),
    "an exact fit does not fit": (
        "select_exact",
        ONE.replace("needs > max", "needs >= max").replace("tokens > num", "tokens >= num"),
        TWO.replace("tokens_left < 0 or slots_left < 0", "tokens_left < 1 or slots_left < 1"),
    ),
    "it admits them itself": (
        "select_changed",
        ONE.replace(
            "        batch.app", "        request.status = Status.RUNNING\n        batch.app"
        ),
        TWO.replace(
            "    return batch",
            "    for r in batch:\n"
            "        r.num_computed_tokens += r.num_uncomputed_tokens\n"
            "    return batch",
        ),
    ),
}


def function(code: str) -> Any:
    """The `select` that `code` defines, as a notebook's cell would."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(HEAD + code, "cell", "exec"), names)
    return names["select"]
