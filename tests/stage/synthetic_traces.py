"""Hand-made traces for the tests of the stage: plausible records from a toy scheduler.

It is no engine: it only keeps the promises of docs/trace-format.md, so that the stage meets each
kind of record: chunked prefill, waits of each reason, preemption, prefix hits, dead slots.
"""

from __future__ import annotations

import json
from typing import Any

WORDS = (
    "the fox carried the lantern home and the river was quiet so they walked until morning".split()
)


class Toy:
    """`requests`: (arrival ms, prompt tokens, output tokens, shared prefix tokens, prompt text)."""

    def __init__(
        self,
        requests: list[tuple],
        *,
        policy: str = "sarathi",
        budget: int = 256,
        num_blocks: int = 256,
        block_size: int = 16,
        max_num_seqs: int = 16,
        title: str = "One long prompt, ten short",
        words: bool = True,
    ) -> None:
        self.policy, self.budget, self.size, self.slots = policy, budget, block_size, max_num_seqs
        self.words = words
        self.header: dict[str, Any] = {
            "minillm_trace": 1,
            "version": "0.1.0",
            "model": "pocket",
            "scheduler": policy,
            "kv_cache": "paged",
            "block_size": block_size,
            "num_blocks": num_blocks,
            "max_num_seqs": max_num_seqs,
            "max_num_batched_tokens": budget,
            "max_model_len": 2048,
            "prefix_caching": True,
            "device": "cpu",
            "dtype": "float32",
            "title": title,
            "question": "Who waits for whom?",
        }
        self.coming = sorted(
            (self.request(str(i), *given) for i, given in enumerate(requests)),
            key=lambda request: request["arrival"],
        )
        self.free = list(range(num_blocks))
        self.prefix_blocks: list[int] = []
        self.waiting: list[dict] = []
        self.running: list[dict] = []
        self.now = 0
        self.owners: dict[int, int] = {}

    @staticmethod
    def request(
        id: str, at: float, prompt: int, out: int, prefix: int = 0, text: str | None = None
    ) -> dict[str, Any]:
        given = {"id": id, "arrival": int(at * 1e6), "prompt": prompt, "out": out}
        return {**given, "prefix": prefix, "text": text, "computed": 0, "outputs": 0,
                "blocks": [], "phase": "waiting"}  # fmt: skip

    def run(self, most: int = 5000) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        for n in range(most):
            if not (self.coming or self.waiting or self.running):
                break
            if not (self.waiting or self.running):
                self.now = max(self.now, self.coming[0]["arrival"])
            records.append(self.step(n))
        records.append({"closing": "complete", "time": self.now})
        return records

    def step(self, n: int) -> dict[str, Any]:
        e: list = []
        while self.coming and self.coming[0]["arrival"] <= self.now:
            r = self.coming.pop(0)
            self.waiting.append(r)
            e.append(["added", r["id"], r["arrival"], r["prompt"], r["out"], r["text"], None, 0])
        waits: list = []
        prefills: list = []
        left = self.budget
        batch = [r for r in self.running if r["phase"] == "decode"]
        for r in list(batch):
            if r in self.running and not self.grow(r, r["computed"] + 1, e):
                self.preempt_for(r, e, waits)
        batch = [r for r in batch if r in self.running]
        left -= len(batch)
        if self.policy == "static":
            if not self.running:
                self.admit_while(e, waits, prefills, left)
            elif self.waiting:
                waits.append(["*waiting", "batch_not_finished", ["*running"]])
        elif self.policy == "vllm":
            before = len(prefills)
            self.admit_while(e, waits, prefills, self.budget)
            if len(prefills) > before and batch:
                waits.append(["*running", "prefill_in_progress", [p[0] for p in prefills]])
                batch = []
        else:
            for r in self.running:
                if r["phase"] == "prefill" and left > 0:
                    left -= self.prefill(r, left, prefills)
            self.admit_while(e, waits, prefills, left)
        tokens = len(batch) + sum(p[1] for p in prefills)
        start, duration = self.now, int(8e6 + tokens * 1.2e5)
        self.now += duration
        x: dict[str, str] = {}
        a: list = []
        for r in batch:
            r["computed"] += 1
            self.sample(r, x, a)
        for id, count in prefills:
            r = next(s for s in self.running if s["id"] == id)
            r["computed"] += count
            if r["computed"] == r["prompt"] + r["outputs"]:
                r["phase"] = "decode"
                self.sample(r, x, a)
        if self.policy == "static" and all(r["phase"] == "done" for r in self.running):
            for r in list(self.running):
                self.leave(r, a)
        record = {
            "n": n,
            "t": start,
            "d": duration,
            "e": e,
            "p": prefills,
            "w": waits,
            "a": a,
            "x": x,
        }
        return {k: v for k, v in record.items() if v or k in ("n", "t", "d", "w")}

    def admit_while(self, e: list, waits: list, prefills: list, left: int) -> None:
        while self.waiting:
            r = self.waiting[0]
            hog = max(prefills, key=lambda p: p[1])[0] if prefills else "*running"
            if len(self.running) >= self.slots:
                waits.append(["*waiting", "max_num_seqs", ["*running"], 1, 0])
                return
            need = r["prompt"] + r["outputs"]
            whole = self.policy != "sarathi"
            if left < (need if whole else 1):
                waits.append([r["id"], "token_budget", [hog], need, max(0, left)])
                if len(self.waiting) > 1:
                    waits.append(["*waiting", "head_of_line" if whole else "token_budget",
                                  [r["id"]] if whole else [hog]])  # fmt: skip
                return
            hit = self.hit(r)
            blocks = -(-need // self.size) - hit // self.size
            if blocks > len(self.free):
                waits.append([r["id"], "no_kv_blocks", ["*running"], blocks, len(self.free)])
                if len(self.waiting) > 1:
                    waits.append(["*waiting", "head_of_line", [r["id"]]])
                return
            self.waiting.pop(0)
            self.running.append(r)
            r["phase"], r["computed"] = "prefill", hit
            e.append(["admitted", r["id"], hit])
            if hit:
                self.take(r, self.prefix_blocks[: hit // self.size], e)
            self.grow(r, need, e)
            left -= self.prefill(r, left, prefills)
            if r["prefix"] and not self.prefix_blocks:
                self.prefix_blocks = r["blocks"][: r["prefix"] // self.size]
                e.append(["cached", self.prefix_blocks])

    def hit(self, r: dict) -> int:
        return len(self.prefix_blocks) * self.size if r["prefix"] else 0

    def prefill(self, r: dict, left: int, prefills: list) -> int:
        count = min(left, r["prompt"] + r["outputs"] - r["computed"])
        prefills.append([r["id"], count])
        return count

    def grow(self, r: dict, tokens: int, e: list) -> bool:
        more = -(-tokens // self.size) - len(r["blocks"])
        if more > len(self.free):
            return False
        if more > 0:
            self.take(r, [self.free.pop(0) for _ in range(more)], e)
        return True

    def take(self, r: dict, blocks: list[int], e: list) -> None:
        r["blocks"].extend(blocks)
        for b in blocks:
            self.owners[b] = self.owners.get(b, 0) + 1
        e.append(["alloc", r["id"], list(blocks)])

    def give(self, r: dict, e: list) -> None:
        e.append(["free", r["id"]])
        for b in r["blocks"]:
            self.owners[b] -= 1
            if not self.owners[b] and b not in self.prefix_blocks:
                self.free.append(b)
        r["blocks"] = []

    def preempt_for(self, r: dict, e: list, waits: list) -> None:
        while not self.grow(r, r["computed"] + 1, e):
            victim = self.running.pop()
            e.append(["preempted", victim["id"], r["id"]])
            self.give(victim, e)
            victim["phase"], victim["computed"] = "waiting", 0
            self.waiting.insert(0, victim)
            waits.append([victim["id"], "preempted", [r["id"]]])
            if victim is r:
                return

    def sample(self, r: dict, x: dict, a: list) -> None:
        r["outputs"] += 1
        if self.words:
            piece = WORDS[(int(r["id"]) * 3 + r["outputs"]) % len(WORDS)]
            x[r["id"]] = piece.capitalize() if r["outputs"] == 1 else " " + piece
        if r["outputs"] >= r["out"]:
            if self.policy == "static":
                r["phase"] = "done"
                a.append(["done", r["id"]])
            else:
                self.leave(r, a)

    def leave(self, r: dict, a: list) -> None:
        self.running.remove(r)
        a.append(["finished", r["id"], "length"])
        self.give(r, a)


Trace = tuple[dict[str, Any], list[dict[str, Any]]]


def one_long() -> Trace:
    """Sarathi-style: short requests, one prompt of 1,100 tokens, short ones behind it."""
    short = [(i * 35, 40 + 7 * i, 34 + 5 * i) for i in range(7)]
    late = [(300 + 25 * i, 48 + 9 * i, 30 + 4 * i) for i in range(4)]
    toy = Toy([*short, (260, 1100, 60), *late], budget=256)
    return toy.header, toy.run()


def memory_runs_out() -> Trace:
    toy = Toy([(i * 30, 70 + 10 * i, 90) for i in range(9)], num_blocks=48, budget=256,
              policy="vllm", title="Memory runs out")  # fmt: skip
    return toy.header, toy.run()


def shared_prefix() -> Trace:
    toy = Toy([(i * 40, 240, 30 + 6 * i, 192) for i in range(9)], num_blocks=128,
              title="Shared system prompt")  # fmt: skip
    return toy.header, toy.run()


def static_batch() -> Trace:
    toy = Toy([(i * 20, 30, 8 + 9 * (i % 6)) for i in range(14)], policy="static", budget=2048,
              max_num_seqs=6, num_blocks=128, title="Static against continuous")  # fmt: skip
    return toy.header, toy.run()


def crowd(requests: int = 256, num_blocks: int = 4096) -> Trace:
    """Many at once, without text, for measuring the drawing."""
    toy = Toy(
        [(i * 3, 90 + (i * 37) % 300, 60 + (i * 53) % 200) for i in range(requests)],
        budget=2048,
        num_blocks=num_blocks,
        max_num_seqs=requests,
        title="A crowd",
        words=False,
    )
    return toy.header, toy.run()


def hostile() -> Trace:
    """Text that would break a careless page."""
    prompts = [
        "<script>window.pwned = 1</script>",
        "</script><img src=x onerror=window.pwned=2>",
        "\u202eright to left\u202c and \u0000\u0007 bells",
        "שלום עולם & <b>bold</b> \u2028",
    ]
    toy = Toy([(i * 10, 20, 12, 0, text) for i, text in enumerate(prompts)], title="<b>Hostile</b>")
    records = toy.run()
    for record in records:
        for id in record.get("x", {}):
            record["x"][id] = " " + prompts[int(id)]
    return toy.header, records


def lines(trace: Trace) -> tuple[str, list[str]]:
    """The trace as the text lines of its file."""
    header, records = trace
    return json.dumps(header), [json.dumps(record) for record in records]
