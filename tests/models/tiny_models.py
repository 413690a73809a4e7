"""Models of transformers that are small enough to be made in a test."""

import torch
import transformers

ROWS, COLUMNS = 400, 16
_SIZES = {
    "vocab_size": ROWS, "hidden_size": COLUMNS, "intermediate_size": 24,
    "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
}  # fmt: skip


def bert():
    return transformers.BertModel(transformers.BertConfig(**_SIZES))


def masked_bert():
    return transformers.BertForMaskedLM(transformers.BertConfig(**_SIZES))


def llama(tied=True):
    config = transformers.LlamaConfig(
        **_SIZES, num_key_value_heads=2, tie_word_embeddings=tied, bos_token_id=0, eos_token_id=1
    )
    return transformers.LlamaForCausalLM(config)


def untied_llama():
    return llama(tied=False)


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=ROWS, n_embd=COLUMNS, n_layer=1, n_head=2, n_positions=32, bos_token_id=0,
        eos_token_id=1,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def t5():
    config = transformers.T5Config(
        vocab_size=ROWS, d_model=COLUMNS, d_kv=8, d_ff=24, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def _scaled(config):
    return config(
        vocab_size=ROWS, d_model=COLUMNS, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, max_position_embeddings=32, scale_embedding=True,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip


def bart():
    return transformers.BartForConditionalGeneration(_scaled(transformers.BartConfig))


def marian():
    return transformers.MarianMTModel(_scaled(transformers.MarianConfig))


def seamless():
    config = _scaled(transformers.SeamlessM4TConfig)
    config.hidden_size = COLUMNS
    return transformers.SeamlessM4TForTextToText(config)


def gemma():
    config = transformers.Gemma3TextConfig(**_SIZES, num_key_value_heads=2, head_dim=8)
    return transformers.Gemma3ForCausalLM(config)


def quantized_bert():
    return transformers.IBertForMaskedLM(transformers.IBertConfig(**_SIZES))


def vit():
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=8, patch_size=4,
    )  # fmt: skip
    return transformers.ViTModel(config)


def saved(make, folder, seed=0, **settings):
    """Saves a model with random weights, and returns it."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_()
    model.save_pretrained(folder, **settings)
    return model


def outputs(model, ids):
    """Returns what a model makes of token ids: logits, or hidden states."""
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        found = model(input_ids=ids, **more)
    return found.logits if hasattr(found, "logits") else found.last_hidden_state


def with_rows(model, rows, tied=True):
    """Puts other rows into a model's embedding matrix, and into what is tied to it."""
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.from_numpy(rows))
    return model
