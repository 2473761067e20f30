"""Training is deterministic, and resuming changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast as Tokenizer

from minillm.pocket.batches import batches
from minillm.pocket.corpus import FULL_MIX, Mix
from minillm.pocket.curriculum import CURRICULUM, Stage, scaled
from minillm.pocket.export import export
from minillm.pocket.tokenizer import ChatEncoder
from minillm.pocket.train import TrainConfig, Trainer, learning_rate

_STAGES = (Stage("two facts", Mix(), 400, 256), Stage("all", FULL_MIX, 800, 512))


def _weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.model.parameters()]


def test_two_steps_and_a_resume_equal_four_steps(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = TrainConfig(stages=_STAGES, checkpoint_dir=tmp_path / "whole", max_steps=4)
    whole = Trainer(config, tokenizer)
    whole.run()
    halves = replace(config, checkpoint_dir=tmp_path / "halves", max_steps=2)
    first = Trainer(halves, tokenizer)
    first.run()
    second = Trainer(replace(halves, max_steps=4), tokenizer)
    assert second.resume()
    assert second.state.step == 2
    second.run()
    assert second.state.tokens == whole.state.tokens
    for a, b in zip(_weights(whole), _weights(second), strict=True):
        assert torch.equal(a, b)


def test_a_finished_run_resumes_to_nothing(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = TrainConfig(stages=_STAGES[:1], checkpoint_dir=tmp_path)
    trainer = Trainer(config, tokenizer)
    losses: list[float] = []
    trainer.run(lambda state, loss: losses.append(loss))
    again = Trainer(config, tokenizer)
    assert again.resume()
    again.run(lambda state, loss: pytest.fail("a step after the end"))
    assert again.state.step == len(losses)


def test_export_keeps_the_weights(tmp_path: Path, tokenizer: Tokenizer) -> None:
    trainer = Trainer(TrainConfig(), tokenizer)
    export(trainer.model, tokenizer, tmp_path)
    loaded = type(trainer.model).from_pretrained(tmp_path, dtype=torch.float32)
    assert trainer.model.dtype == torch.float32
    for a, b in zip(trainer.model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)


def test_batches_weigh_answers_and_ignore_padding(tokenizer: Tokenizer) -> None:
    stream = batches(ChatEncoder(tokenizer), FULL_MIX, 1024, "test")
    for _, batch in zip(range(40), stream, strict=False):
        assert batch.ids.shape == batch.weights.shape
        assert batch.ids.numel() <= max(1024, batch.ids.shape[1])
        assert int((batch.weights > 0).sum()) == batch.tokens
        assert not batch.weights[batch.ids == tokenizer.pad_token_id].any()


def test_learning_rate_rises_then_falls() -> None:
    config = TrainConfig()
    most = config.total_tokens - config.stages[-1].tokens
    rates = [learning_rate(config, t) for t in range(0, most, 100_000)]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) == pytest.approx(config.learning_rate)
    again = [learning_rate(config, t) for t in range(most, config.total_tokens + 1, 100_000)]
    assert again == sorted(again, reverse=True)
    assert again[-1] == 0


def test_scaled_curriculum() -> None:
    assert sum(s.tokens for s in scaled(CURRICULUM, 0.5)) == TrainConfig().total_tokens / 2
