"""A causal language model from a folder of the `transformers` package, as a speaker in place of `Words`.

The package is optional and imported only here. Nothing but the folder is read: weights as safetensors, no code of the
folder is run, nothing is downloaded.
"""

import contextlib
import copy
from pathlib import Path

import torch

from lfcore.core.errors import InputError
from lfcore.language.network import Texts, pad


def load():
    """The module `transformers`; InputError says what to install where it is missing."""
    with contextlib.suppress(ImportError):  # transformers imports torchvision: see lfcore.models.torchvision
        from lfcore.models import torchvision  # noqa: F401
    try:
        import transformers
    except ImportError:
        raise InputError("A folder of transformers needs that package: run pip install transformers.") from None
    return transformers


class Logits(torch.nn.Module):
    """A causal language model of `transformers` that returns its logits alone, (n, length, tokens)."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next token. Padding stands behind, where causal attention keeps it from being seen."""
        return self.model(input_ids=tokens, use_cache=False).logits


class Pretrained:
    """The tokens and models of a folder; every model starts from the folder's weights, in float32, without dropout."""

    def __init__(self, folder: str | Path, device: str):
        transformers = load()
        if not list(Path(folder).glob("*.safetensors")):
            raise InputError(f"{folder} has no weights as safetensors: give a folder written by save_pretrained.")
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = transformers.AutoConfig.from_pretrained(folder, **local)
            for name, value in config.to_dict().items():
                if "drop" in name and isinstance(value, float):
                    setattr(config, name, 0.0)  # dropout would draw from the global stream, whatever the seed
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, config=config, use_safetensors=True, dtype=torch.float32, **local
            )
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{folder} is no causal language model with its tokenizer ({reason}).") from None
        if self.tokenizer.eos_token_id is None:
            raise InputError(f"The tokenizer in {folder} has no end token: set its eos_token.")
        self.device, self.model = device, Logits(model).to(device)

    def encode(self, pairs: list[tuple[str, str]]) -> Texts:
        """Pairs (question, answer) as Texts: "<question>\\nanswer:", " <answer>", and the end token."""
        questions = [self.tokenizer(f"{question}\nanswer:")["input_ids"] for question, _ in pairs]
        answers = [self.tokenizer(f" {answer}", add_special_tokens=False)["input_ids"] for _, answer in pairs]
        return pad(questions, [[*answer, self.tokenizer.eos_token_id] for answer in answers], self.device)

    def build(self, seed: int, stage: str) -> torch.nn.Module:
        """A copy of the folder's model, the same for every seed and stage."""
        return copy.deepcopy(self.model)
