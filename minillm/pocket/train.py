"""Train the pocket model: `python -m minillm.pocket.train`.

Half an hour to an hour on a CPU (one thread does about 4,500 tokens/s). Interrupt it at any time:
the same command resumes from the last checkpoint and ends with the same weights, since the data
depend on the seed and the step alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from minillm.pocket.architecture import new_model
from minillm.pocket.batches import Batch, batches, skip
from minillm.pocket.curriculum import CURRICULUM, Stage, scaled
from minillm.pocket.export import export
from minillm.pocket.recall import recall_cases, share_exact
from minillm.pocket.tokenizer import ChatEncoder, train_tokenizer

AGAIN = 0.15  # share of the peak learning rate with which the last stage begins


@dataclass(frozen=True)
class TrainConfig:
    stages: tuple[Stage, ...] = CURRICULUM
    seed: int = 0
    learning_rate: float = 2e-3  # at its peak
    warmup_tokens: int = 100_000
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    bf16: bool = False  # matrix products in bfloat16, weights in fp32; for CPUs built for it
    checkpoint_dir: Path = Path("pocket-checkpoints")
    checkpoint_steps: int = 100  # steps between checkpoints
    probe_steps: int = 100  # steps between looks at recall; 0: never
    max_steps: int | None = None  # stop early, for trials and tests

    @property
    def total_tokens(self) -> int:
        return sum(stage.tokens for stage in self.stages)


@dataclass
class State:
    """Where training stands; with the weights and the optimizers it is all a resume needs."""

    stage: int = 0
    stage_step: int = 0
    stage_tokens: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    log: list[dict[str, float | str]] = field(default_factory=list)


def learning_rate(config: TrainConfig, tokens: int) -> float:
    """Linear warm-up, then a cosine from the peak down to a twentieth of it; in the last stage, a
    repetition, from `AGAIN` of the peak straight down to nothing."""
    last = config.stages[-1].tokens
    most = config.total_tokens - last
    if tokens >= most:
        return config.learning_rate * AGAIN * max(0.0, 1 - (tokens - most) / last)
    if tokens < config.warmup_tokens:
        return config.learning_rate * (tokens + 1) / config.warmup_tokens
    done = (tokens - config.warmup_tokens) / max(1, most - config.warmup_tokens)
    return config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def weighted_loss(model: LlamaForCausalLM, batch: Batch, bf16: bool = False) -> torch.Tensor:
    """Cross-entropy of the next token in nats, averaged by the batch's weights."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
    losses = cross_entropy(
        logits.flatten(0, 1).float(), batch.ids[:, 1:].flatten(), reduction="none"
    )
    weights = batch.weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def make_optimizers(model: LlamaForCausalLM, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the embedding and the norms.

    From random weights, two facts of different kinds were copied after 0.4 M tokens, against 0.8 M
    with AdamW alone. Both share one learning rate: Muon's updates are scaled to AdamW's usual size.
    """
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    rest = [p for name, p in model.named_parameters() if p.ndim < 2 or "layers" not in name]
    return [
        torch.optim.Muon(
            hidden,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


class Trainer:
    """Model, optimizers and position in the curriculum."""

    def __init__(self, config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        self.config = config
        self.encoder = ChatEncoder(tokenizer)
        self.model = new_model(config.seed)
        self.optimizers = make_optimizers(self.model, config)
        self.state = State()
        self._path = config.checkpoint_dir / "last.pt"

    def resume(self) -> bool:
        """Go on from the last checkpoint, if there is one."""
        if not self._path.exists():
            return False
        saved = torch.load(self._path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        for optimizer, content in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(content)
        self.state = State(**saved["state"])
        return True

    def save(self) -> None:
        """Write a checkpoint; an interruption leaves the one before intact."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        content = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "state": asdict(self.state),
        }
        torch.save(content, partial)
        os.replace(partial, self._path)

    def run(self, on_step: Callable[[State, float], None] = lambda state, loss: None) -> None:
        """Train to the end of the curriculum (or to `max_steps`)."""
        config, state = self.config, self.state
        self.model.train()
        while state.stage < len(config.stages):
            stage = config.stages[state.stage]
            seed = f"{config.seed}-{stage.name}"
            stream = batches(self.encoder, stage.mix, stage.batch_tokens, seed)
            for batch in skip(stream, state.stage_step):
                if state.stage_tokens >= stage.tokens:
                    break
                if config.max_steps is not None and state.step >= config.max_steps:
                    self.save()
                    return
                on_step(state, self._step(batch))
                if config.probe_steps and state.step % config.probe_steps == 0:
                    self._probe()
                if state.step % config.checkpoint_steps == 0:
                    self.save()
            state.stage, state.stage_step, state.stage_tokens = state.stage + 1, 0, 0
        self.save()

    def _step(self, batch: Batch) -> float:
        started = time.monotonic()
        state = self.state
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.config, state.tokens)
        loss = weighted_loss(self.model, batch, self.config.bf16)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        state.step += 1
        state.stage_step += 1
        state.tokens += batch.tokens
        state.stage_tokens += batch.tokens
        state.seconds += time.monotonic() - started
        return loss.item()

    def _probe(self) -> None:
        """Log held-out recall of four facts, by name alone too (and in a long text, late on)."""
        state = self.state
        stage = self.config.stages[state.stage]
        wanted = {"by_name_4": (4, 0), "recall_4": (4, 200)}
        if stage.mix.max_tokens > 1024:
            wanted["recall_1500"] = (16, 1500)
        entry: dict[str, float | str] = {"stage": stage.name, "tokens": state.tokens}
        for name, (facts, tokens) in wanted.items():
            count, by_name = 24 if tokens > 1024 else 96, name.startswith("by_name")
            cases = recall_cases("probe", count, facts, tokens, same_relation=by_name)
            entry[name] = round(share_exact(self.model, self.encoder, cases), 3)
        state.log.append(entry)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the pocket model.")
    parser.add_argument("--out", type=Path, help="folder for the model (default: the bundled one)")
    parser.add_argument("--checkpoints", type=Path, default=TrainConfig.checkpoint_dir)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="times the tokens, for trials")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    parser.add_argument("--learning-rate", type=float, default=TrainConfig.learning_rate)
    parser.add_argument("--bf16", action="store_true", help="faster on CPUs with bf16 units")
    return parser.parse_args()


def main() -> None:
    from minillm.pocket import pocket_path

    arguments = _arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = TrainConfig(
        stages=scaled(CURRICULUM, arguments.scale),
        seed=arguments.seed,
        checkpoint_dir=arguments.checkpoints,
        learning_rate=arguments.learning_rate,
        bf16=arguments.bf16,
    )
    tokenizer = train_tokenizer(config.seed)
    trainer = Trainer(config, tokenizer)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[speed]:.0f} tok/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        if trainer.resume():
            progress.print(f"resumed at {trainer.state.tokens:,} tokens")
        task = progress.add_task("start", total=config.total_tokens, loss=math.nan, speed=0.0)
        logged = len(trainer.state.log)

        def show(state: State, loss: float) -> None:
            nonlocal logged
            speed = state.tokens / max(state.seconds, 1e-9)
            stage = config.stages[state.stage].name
            progress.update(task, completed=state.tokens, description=stage, loss=loss, speed=speed)
            for entry in state.log[logged:]:
                progress.print(json.dumps(entry | {"loss": round(loss, 4), "tok_s": round(speed)}))
            logged = len(state.log)

        trainer.run(show)
    folder = arguments.out or pocket_path()
    export(trainer.model, tokenizer, folder)
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
