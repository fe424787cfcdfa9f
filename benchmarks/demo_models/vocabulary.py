"""The tokenizer of both models: a CLIP byte-pair vocabulary of about 700 entries, learned from captions."""

import json
import pathlib
import random

import tokenizers
import transformers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from benchmarks.demo_models import pictures

CAPTIONS = 40_000
MERGED_ENTRIES = 500
END_OF_WORD = "</w>"
# words that no caption holds but people may well type
_OTHER_WORDS = (
    "a photo of a picture of the character with and without wearing holding in on at near behind under "
    "an one two three small big tiny large monster robot ghost cat"
)


def train(folder: pathlib.Path, *, seed: int = 0) -> transformers.CLIPTokenizer:
    """Learn the merges from drawn captions and write the tokenizer to `folder`."""
    rng = random.Random(f"vocabulary {seed}")
    captions = [pictures.subject(rng, monsters=0.3)[1] for _ in range(CAPTIONS)]
    learner = tokenizers.Tokenizer(models.BPE(end_of_word_suffix=END_OF_WORD))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=MERGED_ENTRIES, end_of_word_suffix=END_OF_WORD, show_progress=False, min_frequency=20
    )
    learner.train_from_iterator([*captions, *[_OTHER_WORDS] * 50], trainer)
    merges = [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*characters, *(character + END_OF_WORD for character in characters), *("".join(pair) for pair in merges)]
    entries = [*dict.fromkeys(entries), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=24)
    tokenizer.save_pretrained(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder)
