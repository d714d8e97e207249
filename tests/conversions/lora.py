"""LoRA in PEFT's names merged into the plain model: once with base and adapter in one file, once with the adapter alone, as PEFT saves it,
where the base is the target's. The scale, lora_alpha / r, stands in adapter_config.json beside the file."""
import json

import torch
from torch import nn

from conversion import Conversion, randomise

WIDTH, RANK, ALPHA, LAYERS = 24, 4, 10, 2
TUNED = ("q_proj", "v_proj")


class LoraLinear(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base.in_features, RANK, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(RANK, base.out_features, bias=False)})

    def forward(self, x):
        return self.base_layer(x) + ALPHA / RANK * self.lora_B["default"](self.lora_A["default"](x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH)
        self.o_proj = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x):
        return self.o_proj(self.v_proj(torch.tanh(self.q_proj(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


def wrapped(net):
    """The net as PEFT nests it: base_model.model.layers.0.q_proj.base_layer.weight, ...lora_A.default.weight."""
    for layer in net.layers:
        for name in TUNED:
            setattr(layer, name, LoraLinear(getattr(layer, name)))
    peft = nn.Module()
    peft.base_model = nn.Module()
    peft.base_model.model = net
    return peft


def adapter_only(peft):
    """What save_pretrained writes: A and B alone, without the adapter's name."""
    return {name.replace(".default.", "."): tensor for name, tensor in peft.state_dict().items() if "lora_" in name}


def base_net():
    return randomise(Net(), seed=77)


def adapted_base(_, base, inputs):
    """The target before the merge, with this adapter put around it."""
    peft = wrapped(Net())
    peft.load_state_dict({**_.state_dict(), **of_base(base)})
    return peft.eval().base_model.model(*inputs)


def of_base(base):
    state = {}
    for name, tensor in base.state_dict().items():
        module, leaf = name.rsplit(".", 1)
        inner = ".base_layer." if module.rsplit(".", 1)[1] in TUNED else "."
        state["base_model.model." + module + inner + leaf] = tensor
    return state


CONFIG = json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": list(TUNED), "fan_in_fan_out": False,
                     "use_rslora": False, "bias": "none"})
COMMON = dict(
    inputs=lambda: (torch.randn(3, WIDTH),),
    beside={"adapter_config.json": CONFIG},
    accept=("lossy",),
    knowledge="that the adapter is to be merged for good",
    run_source=lambda model, x: model.base_model.model(x),
    tolerance=1e-5,
    why_not_exact="one rounded sum of weights against two products",
)

CONVERSIONS = {
    "LoRA and base in one file -> merged": Conversion(source=lambda: wrapped(Net()), target=Net, **COMMON),
    "LoRA adapter alone, base in the target -> merged": Conversion(
        source=lambda: wrapped(Net()), target=Net, save=adapter_only, expected=adapted_base, **COMMON
    ),
}
