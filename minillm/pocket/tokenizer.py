"""The pocket tokenizer: byte-level BPE trained on the corpus, and the chat template.

Byte-level means that any text round-trips, Chinese and emoji included: what the merges do not
cover is spelt in UTF-8 bytes. Digits stand alone, which makes sums learnable.
"""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from minillm.pocket.corpus import Chat, tokenizer_texts

VOCAB_SIZE = 1536
CONTEXT = 2048  # tokens
BOS, PAD, END = "<|bos|>", "<|pad|>", "<|end|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = [PAD, BOS, END, SYSTEM, USER, ASSISTANT]

# A space goes before what the user says, so that its first word is the same token as elsewhere.
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '<|assistant|>' + (message['content'] | trim) + '<|end|>' }}"
    "{%- elif message['role'] in ('system', 'user') %}"
    "{{- '<|' + message['role'] + '|> ' + (message['content'] | trim) + '<|end|>' }}"
    "{%- else %}"
    "{{- raise_exception('the roles are system, user and assistant, not ' + message['role']) }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)


def train_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Learn the merges from a seeded sample of the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(tokenizer_texts(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


class ChatEncoder:
    """Turns chats into token ids, with a mark on each token that the model should learn to say."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = tokenizer.backend_tokenizer
        vocab = self._backend.get_vocab()
        self._ids = {token: vocab[token] for token in SPECIAL_TOKENS}

    def encode(self, chat: Chat) -> tuple[list[int], list[bool]]:
        """(ids, answer) of one chat; answer[i] is true where ids[i] is the assistant's word.

        The ids are those of the chat template; a raw chat is one bare text with an end marker,
        as a plain completion request begins.
        """
        ids = [] if chat.raw else [self._ids[BOS]]
        answer = [False] * len(ids)
        for message in chat.messages:
            speaks = message["role"] == "assistant"
            text = message["content"] if speaks else f" {message['content']}"
            words = self._backend.encode(text, add_special_tokens=False).ids
            if not chat.raw:
                ids.append(self._ids[f"<|{message['role']}|>"])
                answer.append(False)
            if not chat.raw or message is chat.messages[-1]:
                words = [*words, self._ids[END]]
            ids += words
            answer += [speaks] * len(words)
        return ids, answer
