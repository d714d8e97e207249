"""What one conversion is: two models in two spellings, and what the file of the one must do in the other."""
import dataclasses
import typing

import torch


@dataclasses.dataclass
class Conversion:
    """`source` and `target` build the models; `inputs` a tuple of tensors; both models compute the same function from equal weights."""

    source: typing.Callable
    target: typing.Callable
    inputs: typing.Callable
    save: typing.Callable = lambda model: model.state_dict()  # what stands in the source's file
    beside: dict = dataclasses.field(default_factory=dict)  # file name -> text, beside the source's file
    plan: typing.Optional[dict] = None  # what a person reviewed, where names and shapes cannot tell
    accept: tuple = ()  # what a person allows: "lossy", "guess"
    knowledge: str = ""  # what that person knew; empty where nobody was needed
    run_source: typing.Callable = lambda model, *inputs: model(*inputs)
    run_target: typing.Callable = lambda model, *inputs: model(*inputs)
    expected: typing.Optional[typing.Callable] = None  # (source, target before loading, inputs) -> output; else the source's own
    tolerance: float = 0.0  # largest absolute deviation of an output; 0: bit for bit
    why_not_exact: str = ""


def randomise(model, seed):
    """Gives every floating tensor values of its own, normalisation and its statistics included, so that no swap goes unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict(keep_vars=True).items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif tensor.dim() > 1:
                tensor.copy_(noise * (1.0 / max(1, tensor[0].numel()) ** 0.5))
            else:
                tensor.copy_(tensor + 0.1 * noise)
    return model.eval()
