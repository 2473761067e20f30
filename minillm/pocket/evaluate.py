"""Measure the pocket model: `python -m minillm.pocket.evaluate`.

Everything is measured on what training never saw: held-out triples and subjects, with seen and
held-out ways of asking. The figures go to `evaluation.json`, and from there to `MODEL_CARD.md`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from minillm.pocket import arithmetic, pocket_path
from minillm.pocket.card import model_card
from minillm.pocket.corpus import Chat, Message
from minillm.pocket.recall import recall_cases, share_exact
from minillm.pocket.stories import LENGTHS, Length, sample_subject, story_request, write_story
from minillm.pocket.tokenizer import ChatEncoder

Figures = dict[str, Any]
RECALL_CASES = (  # name, facts, tokens, options, questions asked
    ("4 facts, 256 tokens", 4, 256, {}, 400),
    ("4 facts, no filler", 4, 0, {}, 400),
    ("2 facts of one kind", 2, 0, {"same_relation": True}, 400),
    ("4 facts of one kind", 4, 0, {"same_relation": True}, 400),
    ("4 facts, 256 tokens, held-out question form", 4, 256, {"held_out_template": True}, 400),
    ("4 facts, 256 tokens, asking for the name", 4, 256, {"inverse": True}, 400),
    ("16 facts, 512 tokens, in the system prompt", 16, 512, {"in_system": True}, 200),
    ("4 facts, 1,500 tokens", 4, 1500, {}, 120),
    ("16 facts, 1,500 tokens", 16, 1500, {}, 120),
    ("64 facts, 1,500 tokens", 64, 1500, {}, 120),
    ("16 facts, 1,500 tokens, in the system prompt", 16, 1500, {"in_system": True}, 120),
)


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The model in fp32, as it is served, and its tokenizer."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def answer(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Message],
    *,
    max_tokens: int = 600,
    temperature: float = 0.0,
) -> tuple[str, int, bool]:
    """(text, tokens including the end marker, whether it ended by itself)."""
    prompt = tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=True
    )
    ids = torch.tensor([tokenizer.encode(str(prompt), add_special_tokens=False)])
    sampling = {"do_sample": True, "temperature": temperature} if temperature else {}
    generator: Any = model  # its type hides `generate`
    output = generator.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, **sampling
    )
    said: list[int] = output[0, ids.shape[1] :].tolist()
    ended = said[-1] == tokenizer.eos_token_id
    return str(tokenizer.decode(said, skip_special_tokens=True)), len(said), ended


@torch.no_grad()
def loss_on_answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, chats: Sequence[Chat]
) -> float:
    """Mean cross-entropy per answer token, in nats."""
    encoder = ChatEncoder(tokenizer)
    total, count = 0.0, 0
    for chat in chats:
        ids, said = encoder.encode(chat)
        row = torch.tensor([ids])
        scores = model(input_ids=row, use_cache=False).logits[0, :-1].log_softmax(-1)
        chosen = scores.gather(1, row[0, 1:, None])[:, 0]
        mask = torch.tensor(said[1:])
        total -= float(chosen[mask].sum())
        count += int(mask.sum())
    return total / count


def story_chats(count: int, length: Length) -> list[Chat]:
    """Stories about held-out pairs of hero and object, asked for in the held-out form."""
    rng = random.Random(f"held-out-{length}")
    result: list[Chat] = []
    for _ in range(count):
        hero, thing = sample_subject(rng, held_out=True)
        request = story_request(rng, length, hero, thing, held_out_template=True)
        story = write_story(rng, length, hero, thing)
        messages = (
            {"role": "user", "content": request},
            {"role": "assistant", "content": story},
        )
        result.append(Chat("story", messages))
    return result


def measure_recall(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Figures:
    """Share of exactly right answers, held-out triples."""
    encoder = ChatEncoder(tokenizer)
    figures: Figures = {}
    for name, facts, tokens, options, count in track(RECALL_CASES, "recall"):
        cases = recall_cases("evaluation", count, facts, tokens, **options)
        figures[name] = round(share_exact(model, encoder, cases), 4)
    return figures


def measure_stories(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int
) -> Figures:
    """Loss, length in tokens and keeping to the subject, by the length that was asked for."""
    figures: Figures = {}
    torch.manual_seed(0)
    for length in LENGTHS:
        chats = story_chats(200, length)
        entry: Figures = {"held_out_loss": round(loss_on_answers(model, tokenizer, chats), 4)}
        lengths: list[int] = []
        ended = on_subject = 0
        for chat in track(chats[:count], f"{length} stories"):
            text, tokens, end = answer(model, tokenizer, chat.messages[:1], temperature=0.7)
            lengths.append(tokens)
            ended += end
            asked = re.findall(r"about an? (\w+) and an? (\w+)", chat.messages[0]["content"])[0]
            on_subject += all(word in text for word in asked)
        deciles = statistics.quantiles(lengths, n=10)
        entry |= {
            "mean": round(statistics.mean(lengths), 1),
            "p10": round(deciles[0]),
            "p90": round(deciles[-1]),
            "ended_by_itself": round(ended / count, 4),
            "names_hero_and_object": round(on_subject / count, 4),
        }
        figures[length] = entry
    return figures


def measure_sums(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Figures:
    """Share of exactly right sums, seen and held out."""
    encoder = ChatEncoder(tokenizer)
    figures: Figures = {}
    for name, held_out in (("seen", False), ("held_out", True)):
        rng = random.Random(f"sums-{name}")
        chats: list[Chat] = []
        for _ in range(300):
            question, right = arithmetic.sum_question(rng, held_out)
            messages = (
                {"role": "user", "content": question},
                {"role": "assistant", "content": right},
            )
            chats.append(Chat("sums", messages))
        figures[name] = round(share_exact(model, encoder, chats), 4)
    return figures


def measure_fact_answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int
) -> Figures:
    """Loss, length in tokens and ending of decoded answers to fact questions."""
    cases = recall_cases("decoded", count, 4, 128)
    outcomes = [
        answer(model, tokenizer, case.messages[:-1], max_tokens=64)
        for case in track(cases, "fact answers")
    ]
    right = sum(
        text == case.messages[-1]["content"]
        for (text, _, _), case in zip(outcomes, cases, strict=True)
    )
    lengths = [tokens for _, tokens, _ in outcomes]
    return {
        "held_out_loss": round(loss_on_answers(model, tokenizer, cases), 4),
        "mean": round(statistics.mean(lengths), 1),
        "ended_by_itself": round(sum(end for _, _, end in outcomes) / count, 4),
        "right": round(right / count, 4),
    }


def evaluate(folder: Path, stories: int) -> Figures:
    """All figures of the model in `folder`."""
    model, tokenizer = load(folder)
    return {
        "parameters": model.num_parameters(),
        "folder_bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "recall": measure_recall(model, tokenizer),
        "sums": measure_sums(model, tokenizer),
        "fact_answers": measure_fact_answers(model, tokenizer, 2 * stories),
        "stories": measure_stories(model, tokenizer, stories),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the pocket model.")
    parser.add_argument("--model", type=Path, default=pocket_path())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--stories", type=int, default=50, help="stories per length")
    arguments = parser.parse_args()
    figures = evaluate(arguments.model, arguments.stories)
    (arguments.out / "evaluation.json").write_text(json.dumps(figures, indent=2) + "\n")
    (arguments.out / "MODEL_CARD.md").write_text(model_card(figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
