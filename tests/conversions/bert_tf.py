"""BERT in TensorFlow's names (slashes, kernel [in, out], gamma and beta) in those of transformers; the square kernels are turned as well."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

WIDTH, HEADS, HIDDEN, LAYERS, SYMBOLS, PLACES = 32, 4, 96, 3, 59, 16


def attend(q, k, v):
    q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, k, v))
    return ((q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)


def tf_state():
    """name -> tensor, as a TensorFlow checkpoint of BERT lists them."""
    norm = ("gamma", "beta")
    state = {
        "bert/embeddings/word_embeddings": torch.zeros(SYMBOLS, WIDTH),
        "bert/embeddings/position_embeddings": torch.zeros(PLACES, WIDTH),
        "bert/embeddings/token_type_embeddings": torch.zeros(2, WIDTH),
    }
    dense = {"attention/self/query": (WIDTH, WIDTH), "attention/self/key": (WIDTH, WIDTH), "attention/self/value": (WIDTH, WIDTH),
             "attention/output/dense": (WIDTH, WIDTH), "intermediate/dense": (WIDTH, HIDDEN), "output/dense": (HIDDEN, WIDTH)}
    norms = ["bert/embeddings/LayerNorm"]
    for i in range(LAYERS):
        for name, (inputs, outputs) in dense.items():
            state[f"bert/encoder/layer_{i}/{name}/kernel"] = torch.zeros(inputs, outputs)
            state[f"bert/encoder/layer_{i}/{name}/bias"] = torch.zeros(outputs)
        norms += [f"bert/encoder/layer_{i}/{place}/LayerNorm" for place in ("attention/output", "output")]
    state.update({f"{name}/{leaf}": torch.ones(WIDTH) if leaf == "gamma" else torch.zeros(WIDTH) for name in norms for leaf in norm})
    state.update({"bert/pooler/dense/kernel": torch.zeros(WIDTH, WIDTH), "bert/pooler/dense/bias": torch.zeros(WIDTH)})
    return state


class TfBert(nn.Module):
    """Computes with the variables as they are; a name's slashes are dots here, which a ParameterDict takes."""

    def __init__(self):
        super().__init__()
        self.names = {name.replace("/", "__"): name for name in tf_state()}
        self.variables = nn.ParameterDict({key: nn.Parameter(tf_state()[name]) for key, name in self.names.items()})

    def state(self):
        return {name: self.variables[key].detach() for key, name in self.names.items()}

    def dense(self, x, name):
        return x @ self.state()[name + "/kernel"] + self.state()[name + "/bias"]

    def norm(self, x, name):
        return F.layer_norm(x, (WIDTH,), self.state()[name + "/gamma"], self.state()[name + "/beta"], 1e-12)

    def layer(self, x, name):
        qkv = [self.dense(x, f"{name}/attention/self/{part}") for part in ("query", "key", "value")]
        x = self.norm(x + self.dense(attend(*qkv), f"{name}/attention/output/dense"), f"{name}/attention/output/LayerNorm")
        hidden = F.gelu(self.dense(x, f"{name}/intermediate/dense"))
        return self.norm(x + self.dense(hidden, f"{name}/output/dense"), f"{name}/output/LayerNorm")

    def forward(self, tokens):
        table = {part: self.state()[f"bert/embeddings/{part}_embeddings"] for part in ("word", "position", "token_type")}
        x = table["word"][tokens] + table["position"][: tokens.shape[1]] + table["token_type"][0]
        x = self.norm(x, "bert/embeddings/LayerNorm")
        for i in range(LAYERS):
            x = self.layer(x, f"bert/encoder/layer_{i}")
        return torch.tanh(self.dense(x[:, 0], "bert/pooler/dense"))


class Dense(nn.Module):
    def __init__(self, inputs, outputs, normed=False):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        if normed:
            self.LayerNorm = nn.LayerNorm(outputs, eps=1e-12)

    def forward(self, x, residual=None):
        return self.dense(x) if residual is None else self.LayerNorm(self.dense(x) + residual)


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x):
        return attend(self.query(x), self.key(x), self.value(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(), "output": Dense(WIDTH, WIDTH, normed=True)})
        self.intermediate, self.output = Dense(WIDTH, HIDDEN), Dense(HIDDEN, WIDTH, normed=True)

    def forward(self, x):
        x = self.attention["output"](self.attention["self"](x), x)
        return self.output(F.gelu(self.intermediate(x)), x)


class Embeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.word_embeddings, self.position_embeddings = nn.Embedding(SYMBOLS, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.token_type_embeddings, self.LayerNorm = nn.Embedding(2, WIDTH), nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, tokens):
        places = self.position_embeddings.weight[: tokens.shape[1]]
        return self.LayerNorm(self.word_embeddings(tokens) + places + self.token_type_embeddings.weight[0])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x):
        for layer in self.layer:
            x = layer(x)
        return x


class HfBert(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings, self.encoder, self.pooler = Embeddings(), Encoder(), Dense(WIDTH, WIDTH)

    def forward(self, tokens):
        return torch.tanh(self.pooler(self.encoder(self.embeddings(tokens))[:, 0]))


CONVERSIONS = {
    "BERT TensorFlow -> transformers": Conversion(
        source=TfBert,
        target=HfBert,
        inputs=lambda: (torch.randint(0, SYMBOLS, (2, 9)),),
        save=TfBert.state,
        tolerance=1e-5,
        why_not_exact="x W against the transposed product",
    )
}
