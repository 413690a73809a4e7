"""A causal language model with a tied head, trained in minutes, for `models.py`."""

import ast
import sysconfig
import time
from pathlib import Path

import torch

VOCABULARY, WIDTH, LAYERS, HEADS, LENGTH = 16_000, 256, 4, 4, 128
BATCH, RATE = 24, 2e-3
_HELD_OUT = 600  # one document in so many
_SEED = 0
_END = "<|end|>"


def train(folder: Path, seconds: float) -> tuple[Path, Path]:
    """Trains a Llama with 4 layers on the docstrings of the standard library and packages.

    Args:
        folder: The folder to write it to.
        seconds: The duration of training.

    Returns:
        The model's folder, and a held-out text.
    """
    import transformers

    documents = docstrings()
    seen = [text for i, text in enumerate(documents) if i % _HELD_OUT]
    held_out = folder / "held_out.txt"
    folder.mkdir(parents=True, exist_ok=True)
    held_out.write_text("\n\n".join(documents[::_HELD_OUT]), encoding="utf-8")
    tokenizer = _tokenizer(seen)
    ids = torch.tensor([i for each in tokenizer.encode_batch(seen) for i in [*each.ids, 0]])
    torch.manual_seed(_SEED)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=704, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=2 * LENGTH,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    ))  # fmt: skip
    _fit(model, ids, seconds)
    out = folder / "language-model"
    model.eval().save_pretrained(out)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>"
    ).save_pretrained(out)
    return out, held_out


def docstrings() -> list[str]:
    """Returns the distinct docstrings of all installed modules, in a fixed order."""
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    found: dict[str, None] = {}
    for file in sorted({file for folder in folders for file in Path(folder).rglob("*.py")}):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, OSError, RecursionError):
            continue
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        for node in ast.walk(tree):
            if isinstance(node, kinds) and len(doc := ast.get_docstring(node) or "") > 80:
                found[doc] = None
    return list(found)


def _tokenizer(texts: list[str]):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[_END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _fit(model, ids: torch.Tensor, seconds: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.95), weight_decay=0.1)
    started = time.perf_counter()
    done, steps, mean = 0.0, 0, 0.0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (steps + 1) / 50) * (1 - 0.95 * done)
        places = torch.randint(len(ids) - LENGTH, (BATCH, 1))
        batch = ids[places + torch.arange(LENGTH)]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean = loss.item() if steps == 0 else 0.98 * mean + 0.02 * loss.item()
        steps += 1
        done = (time.perf_counter() - started) / seconds
    print(f"{steps} steps of {BATCH * LENGTH} tokens of {len(ids):,}; loss {mean:.3f}\n")
