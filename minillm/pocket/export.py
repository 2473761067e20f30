"""Write a model folder that `transformers` loads: fp16 weights, tokenizer, chat template.

`python -m minillm.pocket.export CHECKPOINT FOLDER` exports a training checkpoint.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from minillm.pocket.architecture import new_model
from minillm.pocket.tokenizer import train_tokenizer


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save both under `folder`. The weights are fp16 in the file, half the size of fp32."""
    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).half()
    config = half.config
    half.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    half.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a training checkpoint.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    model = new_model(0)
    model.load_state_dict(torch.load(arguments.checkpoint, weights_only=True)["model"])
    export(model, train_tokenizer(), arguments.folder)


if __name__ == "__main__":
    main()
