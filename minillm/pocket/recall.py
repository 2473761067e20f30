"""Recall of facts, measured on combinations (name, relation, value) never seen in training."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from transformers import LlamaForCausalLM

from minillm.pocket.corpus import Chat
from minillm.pocket.facts import RELATIONS, ask, sample_fact, sample_facts, weave
from minillm.pocket.tokenizer import ChatEncoder


def recall_case(
    rng: random.Random,
    num_facts: int,
    approx_tokens: int,
    *,
    held_out_template: bool = False,
    in_system: bool = False,
    inverse: bool = False,
    same_relation: bool = False,
) -> Chat:
    """One question about a held-out fact among `num_facts`, padded to about `approx_tokens`.

    With `same_relation` all facts are of one kind, so that nothing but the name finds the answer.
    """
    relations = ("has", "lives") if inverse else tuple(RELATIONS)
    target = sample_fact(rng, held_out=True, relations=relations)
    kinds = (target.relation,) if same_relation else tuple(RELATIONS)
    others = sample_facts(rng, num_facts + 2, None, distinct_names=True, relations=kinds)
    others = [f for f in others if f.name != target.name and f.value != target.value]
    facts = others[: num_facts - 1]
    facts.insert(rng.randint(0, len(facts)), target)
    text = weave(rng, facts, approx_tokens - 12)
    question, answer = ask(rng, target, held_out_template, inverse_share=float(inverse))
    if in_system:
        messages = [{"role": "system", "content": text}, {"role": "user", "content": question}]
    else:
        messages = [{"role": "user", "content": f"{text} {question}"}]
    return Chat("facts", (*messages, {"role": "assistant", "content": answer}))


def recall_cases(
    seed: str, count: int, num_facts: int, approx_tokens: int, **kw: bool
) -> list[Chat]:
    rng = random.Random(f"recall-{seed}-{num_facts}-{approx_tokens}")
    return [recall_case(rng, num_facts, approx_tokens, **kw) for _ in range(count)]


@torch.no_grad()
def share_exact(
    model: LlamaForCausalLM, encoder: ChatEncoder, chats: Sequence[Chat], batch_tokens: int = 8192
) -> float:
    """The share of chats whose last answer greedy decoding gives exactly, end marker included.

    One forward pass with the answer shown tells as much as decoding: greedy decoding says the
    answer if and only if each of its tokens is the likeliest after the ones before.
    """
    model.eval()
    encoded = sorted((encoder.encode(chat) for chat in chats), key=lambda row: len(row[0]))
    correct = 0
    while encoded:
        rows = [encoded.pop()]  # the longest left
        length = len(rows[0][0])
        while encoded and (len(rows) + 1) * length <= batch_tokens:
            rows.append(encoded.pop())
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        for i, (row, _) in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        said = model(input_ids=ids, use_cache=False).logits.argmax(-1)
        for i, (row, answer) in enumerate(rows):
            first = len(row) - answer[::-1].index(False)  # the last run of answer tokens
            correct += torch.equal(said[i, first - 1 : len(row) - 1], ids[i, first : len(row)])
    model.train()
    return correct / len(chats)
