#!/usr/bin/env python3
"""python/tenon_blueprint.py from end to end: what it writes of live modules, and what tenon answers to it.

Tables of silent changes that must be caught, of equal models that must raise no alarm, and of state that no state dict
holds; then the promises of the module: the model is untouched, files stay readable, digests agree with tenon's own.

Exits with 77 (CTest: skipped) where PyTorch is not installed.

usage: tenon_blueprint_test.py --tenon PATH [unittest arguments...]
"""
import argparse
import contextlib
import copy
import functools
import hashlib
import itertools
import json
import os
import pathlib
import pickle
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import types
import unittest
import warnings

try:
    import torch
except ImportError as missing:
    print(f"SKIPPED: {sys.executable} has no PyTorch ({missing}); nothing was tested")
    sys.exit(77)

import torch.nn.functional as F
from torch import nn

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "python"))
import tenon_blueprint  # noqa: E402

TENON = None


def example(*shape, seed=1):
    return tenon_blueprint.example_inputs(seed, (shape, torch.float32))


def trained(model, seed=7):
    """Values as after training: every tensor its own, also the running statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.1)
    return model


class FolderTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        random_state = torch.get_rng_state()
        self.addCleanup(torch.set_rng_state, random_state)

    def tenon(self, *arguments):
        ran = subprocess.run([TENON, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder, timeout=60)
        self.assertIn(ran.returncode, (0, 1), f"tenon {arguments}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran

    def save(self, model, inputs=None, name="model.pth"):
        path = self.folder / name
        torch.save(model.state_dict(), path)
        self.write(model, path, inputs)
        return path

    def write(self, model, path, inputs=None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not saved and odd row counts are asked for elsewhere
            return pathlib.Path(tenon_blueprint.write(model, path, inputs=inputs))

    def check(self, path, model, inputs=None):
        """Exit code and document of `tenon check` against the blueprint of a live model."""
        against = self.write(model, self.folder / "against", inputs)
        ran = self.tenon("check", path, "--against", against, "--json")
        document = json.loads(ran.stdout)
        self.assertEqual(ran.returncode == 0, document["fits"])
        return document


# ---- silent changes -------------------------------------------------------------------------------------------------


class ConvNet(nn.Module):
    """A small network of which every part can be exchanged without touching a key or a shape."""

    def __init__(self, first=None, norm=None, act=None, pool=None, drop=None, extra=None):
        super().__init__()
        self.first = first or nn.Conv2d(3, 4, 3, padding=1)
        self.norm = norm or nn.BatchNorm2d(4)
        self.act = act or nn.ReLU()
        self.pool = pool or nn.MaxPool2d(2)
        self.drop = drop or nn.Dropout(0.5)
        self.flat = nn.AdaptiveAvgPool2d(2)
        if extra is not None:
            self.extra = extra
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.drop(self.pool(self.act(self.norm(self.first(x)))))
        if hasattr(self, "extra"):
            x = self.extra(x)
        return self.head(self.flat(x).flatten(1))


class Functional(nn.Module):
    """Only `forward` differs."""

    def __init__(self, forward):
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)
        self.act = nn.Tanh()
        object.__setattr__(self, "_what", forward)

    def forward(self, x):
        return self._what(self, x)

    def exchanged(self, x):
        second = self.two(x)
        return self.one(x) + second


class Tied(nn.Module):
    def __init__(self, tie):
        super().__init__()
        self.embed = nn.Linear(6, 6, bias=False)
        self.out = nn.Linear(6, 6, bias=False)
        if tie:
            self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(torch.tanh(self.embed(x)))


class Buffered(nn.Module):
    def __init__(self, persistent):
        super().__init__()
        self.inner = nn.Linear(6, 6)
        self.inner.register_buffer("shift", torch.full((6,), 0.25), persistent=persistent)

    def forward(self, x):
        return self.inner(x) + self.inner.shift


class Scaled(nn.Module):
    def __init__(self, **attributes):
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.layer.gain = nn.Linear(6, 6)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        x = self.layer(x)
        x = self.act(x) if hasattr(self, "act") else x
        return x * self.factor if hasattr(self, "factor") else x


class Outer(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.scaled = inner

    def forward(self, x):
        return self.scaled(x)


def relu_kept(self, x):
    return self.two(F.relu(self.one(x)))


def relu_left_out(self, x):
    return self.two(self.one(x))


def functional(forward, **attributes):
    """A maker of Functional with `forward` and attributes."""
    def make():
        model = Functional(forward)
        for name, value in attributes.items():
            setattr(model, name, value)
        return model
    return make


def with_zeros(x, first, last):
    x[:, first:last] = 0
    return x


def with_row(x, row):
    x[row] = 0
    return x


def gated(self, x, order):
    halves = self.one(x).chunk(2, 1)
    return halves[order[0]] * halves[order[1]].sigmoid()


def two_outputs(self, x, order):
    outputs = self.one(x), self.two(x)
    return [outputs[i] for i in order]


def spectral(iterations):
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 6), n_power_iterations=iterations))


def shifted(is_parameter):
    model = Functional(lambda self, x: self.one(x) + self.shift)
    if is_parameter:
        model.shift = nn.Parameter(torch.full((6,), 0.25))
    else:
        model.register_buffer("shift", torch.full((6,), 0.25))
    return model


def conv(**options):
    return nn.Conv2d(3, 4, 3, **{"padding": 1, **options})


IMAGE, ROW = (2, 3, 12, 12), (4, 6)
PARAMETER_FREE, ANY_CAUSE = "parameter_free_change", None

# name, saved model, changed model, input shape, cause, where, do module options alone tell?
SILENT = [
    ("pooling added", lambda: ConvNet(), lambda: ConvNet(extra=nn.MaxPool2d(2)), IMAGE, PARAMETER_FREE, "extra", True),
    ("pooling removed", lambda: ConvNet(extra=nn.MaxPool2d(2)), lambda: ConvNet(), IMAGE, PARAMETER_FREE, "extra",
     True),
    ("stride", lambda: ConvNet(conv()), lambda: ConvNet(conv(stride=2)), IMAGE, PARAMETER_FREE, "first", True),
    ("padding", lambda: ConvNet(conv()), lambda: ConvNet(conv(padding=0)), IMAGE, PARAMETER_FREE, "first", True),
    ("padding mode", lambda: ConvNet(conv()), lambda: ConvNet(conv(padding_mode="reflect")), IMAGE, PARAMETER_FREE,
     "first", True),
    ("dilation", lambda: ConvNet(conv()), lambda: ConvNet(conv(dilation=2)), IMAGE, PARAMETER_FREE, "first", True),
    ("dilation that keeps the extent", lambda: ConvNet(conv()), lambda: ConvNet(conv(dilation=2, padding=2)), IMAGE,
     PARAMETER_FREE, "first", True),
    ("activation", lambda: ConvNet(act=nn.ReLU()), lambda: ConvNet(act=nn.GELU()), IMAGE, PARAMETER_FREE, "act", True),
    ("slope of the activation", lambda: ConvNet(act=nn.LeakyReLU(0.1)), lambda: ConvNet(act=nn.LeakyReLU(0.2)), IMAGE,
     PARAMETER_FREE, "act", True),
    ("pooling kind", lambda: ConvNet(), lambda: ConvNet(pool=nn.AvgPool2d(2)), IMAGE, PARAMETER_FREE, "pool", True),
    ("dropout p", lambda: ConvNet(), lambda: ConvNet(drop=nn.Dropout(0.1)), IMAGE, PARAMETER_FREE, "drop", True),
    ("eps", lambda: ConvNet(), lambda: ConvNet(norm=nn.BatchNorm2d(4, eps=1e-3)), IMAGE, PARAMETER_FREE, "norm", True),
    ("momentum", lambda: ConvNet(), lambda: ConvNet(norm=nn.BatchNorm2d(4, momentum=0.01)), IMAGE, PARAMETER_FREE,
     "norm", True),
    ("layer becomes the identity", lambda: ConvNet(), lambda: ConvNet(act=nn.Identity()), IMAGE, PARAMETER_FREE, "act",
     True),
    ("order of two equal layers", lambda: Functional(lambda self, x: self.two(self.act(self.one(x)))),
     lambda: Functional(lambda self, x: self.one(self.act(self.two(x)))), ROW, PARAMETER_FREE, "one", False),
    ("functional relu left out", lambda: Functional(relu_kept), lambda: Functional(relu_left_out), ROW, PARAMETER_FREE,
     "relu", False),
    ("functional relu became tanh", lambda: Functional(relu_kept),
     lambda: Functional(lambda self, x: self.two(torch.tanh(self.one(x)))), ROW, PARAMETER_FREE, "tanh", False),
    ("residual connection left out", lambda: Functional(lambda self, x: x + self.one(x)),
     lambda: Functional(lambda self, x: self.one(x)), ROW, PARAMETER_FREE, "add", False),
    ("operands exchanged", lambda: Functional(lambda self, x: self.one(x) - self.two(x)),
     lambda: Functional(lambda self, x: self.two(x) - self.one(x)), ROW, PARAMETER_FREE, "", False),
    ("another constant in forward", lambda: Functional(lambda self, x: self.one(x) * 2.0),
     lambda: Functional(lambda self, x: self.one(x) * 3.0), ROW, PARAMETER_FREE, "mul", False),
    ("softmax along another axis", lambda: Functional(lambda self, x: self.one(x).softmax(0)),
     lambda: Functional(lambda self, x: self.one(x).softmax(1)), ROW, PARAMETER_FREE, "softmax", False),
    ("functional dropout p", lambda: Functional(lambda self, x: F.dropout(self.one(x), 0.5, self.training)),
     lambda: Functional(lambda self, x: F.dropout(self.one(x), 0.1, self.training)), ROW, PARAMETER_FREE, "dropout",
     False),
    ("written into", functional(lambda self, x: with_zeros(self.one(x), 0, 2)),
     functional(lambda self, x: with_zeros(self.one(x), 1, 2)), ROW, PARAMETER_FREE, "setitem", False),
    ("another part", functional(lambda self, x: self.one(x)[1:]), functional(lambda self, x: self.one(x)[:-1]), ROW,
     PARAMETER_FREE, "getitem", False),
    ("another row", functional(lambda self, x: self.one(x)[0]), functional(lambda self, x: self.one(x)[1]), ROW,
     PARAMETER_FREE, "getitem", False),
    ("another row written into", functional(lambda self, x: with_row(self.one(x), 0)),
     functional(lambda self, x: with_row(self.one(x), 1)), ROW, PARAMETER_FREE, "setitem", False),
    ("written into no more", functional(lambda self, x: with_zeros(self.one(x), 0, 2)),
     functional(lambda self, x: self.one(x)), ROW, PARAMETER_FREE, "setitem", False),
    ("results of one operation exchanged", functional(lambda self, x: gated(self, x, (0, 1))),
     functional(lambda self, x: gated(self, x, (1, 0))), ROW, PARAMETER_FREE, "chunk", False),
    ("outputs exchanged", functional(lambda self, x: two_outputs(self, x, (0, 1))),
     functional(lambda self, x: two_outputs(self, x, (1, 0))), ROW, PARAMETER_FREE, "output", False),
    ("output under another name", functional(lambda self, x: {"logits": self.one(x)}),
     functional(lambda self, x: {"scores": self.one(x)}), ROW, PARAMETER_FREE, "scores", False),
    ("iterations of spectral_norm", lambda: spectral(1), lambda: spectral(3), ROW, PARAMETER_FREE,
     "n_power_iterations", True),
    ("parameter became a buffer", lambda: shifted(True), lambda: shifted(False), ROW, PARAMETER_FREE, "buffer", True),
    ("value in a dict", functional(lambda self, x: self.one(x) * self.settings["scale"], settings={"scale": 0.5}),
     functional(lambda self, x: self.one(x) * self.settings["scale"], settings={"scale": 2.0}), ROW, PARAMETER_FREE,
     "settings", True),
    ("value in a configuration object",
     functional(lambda self, x: self.one(x) * self.settings.scale, settings=types.SimpleNamespace(scale=0.5)),
     functional(lambda self, x: self.one(x) * self.settings.scale, settings=types.SimpleNamespace(scale=2.0)), ROW,
     PARAMETER_FREE, "settings", True),
    ("argument of a partial function",
     functional(lambda self, x: self.slope(self.one(x)), slope=functools.partial(F.leaky_relu, negative_slope=0.1)),
     functional(lambda self, x: self.slope(self.one(x)), slope=functools.partial(F.leaky_relu, negative_slope=0.2)),
     ROW, PARAMETER_FREE, "slope", True),
    ("class kept as an attribute", functional(lambda self, x: self.kind()(self.one(x)), kind=nn.ReLU),
     functional(lambda self, x: self.kind()(self.one(x)), kind=nn.Tanh), ROW, PARAMETER_FREE, "kind", True),
    ("weight tying lost", lambda: Tied(True), lambda: Tied(False), ROW, "tied_or_shared", "out.weight", True),
    ("buffer made non-persistent", lambda: Buffered(True), lambda: Buffered(False), ROW, "custom_layer_state",
     "inner.shift", True),
    ("scale of a custom module", lambda: Outer(Scaled(factor=0.5)), lambda: Outer(Scaled(factor=2.0)), ROW,
     PARAMETER_FREE, "scaled", True),
    ("activation function as an attribute", lambda: Outer(Scaled(act=F.relu)), lambda: Outer(Scaled(act=F.gelu)), ROW,
     PARAMETER_FREE, "scaled", True),
    ("tensor attribute with another value", lambda: Outer(Scaled(factor=torch.tensor(0.5))),
     lambda: Outer(Scaled(factor=torch.tensor(2.0))), ROW, "silent_wrong", "scaled", False),
]


class SilentChanges(FolderTest):
    def pair(self, make_saved, make_changed):
        saved = trained(make_saved())
        changed = make_changed()
        changed.load_state_dict(saved.state_dict(), strict=False)
        return saved, changed

    def expect_caught(self, document, cause, where):
        self.assertFalse(document["fits"])
        by_id = {found["id"]: found for found in document["causes"]}
        self.assertIn(cause, by_id)
        told = json.dumps([document["architecture"], by_id[cause], document["probe"]])
        self.assertIn(where, told)

    def test_changes_are_caught_by_one_run(self):
        for name, make_saved, make_changed, shape, cause, where, _ in SILENT:
            with self.subTest(name):
                saved, changed = self.pair(make_saved, make_changed)
                path = self.save(saved, example(*shape))
                self.expect_caught(self.check(path, changed, example(*shape)), cause, where)

    def test_changes_are_caught_between_runs_with_other_inputs(self):
        for name, make_saved, make_changed, shape, cause, where, _ in SILENT:
            if cause == "silent_wrong":
                continue  # only outputs for the same input tell
            with self.subTest(name):
                saved, changed = self.pair(make_saved, make_changed)
                path = self.save(saved, example(*shape))
                other = example(shape[0] + 1, *shape[1:], seed=2)
                self.expect_caught(self.check(path, changed, other), cause, where)

    def test_options_alone_tell(self):
        for name, make_saved, make_changed, _, cause, where, options_tell in SILENT:
            if not options_tell:
                continue
            with self.subTest(name):
                saved, changed = self.pair(make_saved, make_changed)
                self.expect_caught(self.check(self.save(saved), changed), cause, where)

    def test_nothing_is_said_of_the_model_itself(self):
        for name, make_saved, _, shape, *_ in SILENT:
            with self.subTest(name):
                saved = trained(make_saved())
                again = make_saved()
                again.load_state_dict(saved.state_dict())
                document = self.check(self.save(saved, example(*shape)), again, example(*shape))
                self.assertEqual(document["causes"], [])
                self.assertEqual(document["proved"], "function")

    def test_what_loading_says_of_the_changes(self):
        """They are silent: PyTorch's strict load takes all but the buffer that is registered on one side only."""
        for name, make_saved, make_changed, _, cause, _, _ in SILENT:
            if cause == "custom_layer_state":
                continue
            with self.subTest(name):
                outcome = make_changed().load_state_dict(make_saved().state_dict())
                self.assertEqual((outcome.missing_keys, outcome.unexpected_keys), ([], []))


# ---- no false alarms ------------------------------------------------------------------------------------------------


class Stores(nn.Module):
    """Keeps what it saw, as many models do for debugging."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.calls = 0
        self.last_rows = None
        self.seen = []

    def forward(self, x):
        self.calls += 1
        self.note(x)
        self.seen.append(x.shape[0])
        self.last_output = self.layer(x)
        return self.last_output

    def note(self, x):
        self.last_rows = x.shape[0]


class StoresByName(Stores):
    """What only a run can tell: no byte code names the attribute."""

    def forward(self, x):
        for name, extent in zip(("rows", "columns"), x.shape):
            setattr(self, name, extent)
        return super().forward(x)


class Reshaping(nn.Module):
    """[b, t, c] through a layer that wants rows, and back, in all the usual ways."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        b, t, c = x.shape
        x = self.layer(x.view(b * t, c)).view(b, t, c)
        x = self.layer(x.reshape(x.size(0), -1).reshape(-1, c)).reshape(b, t, c)
        x = x + torch.zeros(b, 1, c) + self.layer.bias.expand(b, t, c) + torch.arange(t).view(1, t, 1)
        x = x.transpose(0, 1).reshape(t, b * c).reshape(t, b, c).transpose(0, 1)
        return x.contiguous().view(x.shape[0], -1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(6, 4, num_layers=2, batch_first=True, bidirectional=True, dropout=0.2)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        start = torch.zeros(4, x.shape[0], 4)
        return self.head(self.rnn(x, (start, start.clone()))[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Draws(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        x = self.layer(x) + torch.randn(x.shape[0], 6)
        return F.dropout(x, 0.5, training=True)


class Embedding(nn.Module):
    """Integer inputs, a mask made in forward, output tied to the embedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6, padding_idx=0)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        mask = torch.tril(torch.ones(tokens.shape[1], tokens.shape[1]))
        weights = (x @ x.transpose(1, 2)).masked_fill(mask == 0, float("-inf")).softmax(-1)
        return {"logits": self.out(weights @ x), "hidden": x}


class Caches(nn.Module):
    """A table made in the first run, a configuration with a path, an input written into, a table with bounded rows."""

    def __init__(self, folder="/home/somebody/run"):
        super().__init__()
        self.embed = nn.Embedding(11, 6, max_norm=0.5)
        self.layer = nn.Linear(6, 6)
        self.settings = types.SimpleNamespace(scale=0.5, folder=folder)
        self.table = None
        self.kept = {"rows": []}

    def forward(self, tokens):
        if self.table is None:
            self.table = torch.arange(6).mul(0.1).cos()
        self.kept["rows"].append(tokens.shape[0])
        x = self.layer(self.embed(tokens) * self.table * self.settings.scale)
        x[:, 0] = 1
        return torch.add(x, 1)


class WritesIntoInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.layer = nn.Linear(6, 6)
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        x = self.act(x)
        self.mean = self.mean * 0.9 + x.mean(0) * 0.1  # another tensor, not another value
        return self.layer(x)


class OwnTrain(nn.Module):
    """Merges weights when it goes to evaluation, as low-rank adapters do."""

    def __init__(self):
        super().__init__()
        self.weight, self.delta = nn.Parameter(torch.ones(6, 6)), nn.Parameter(torch.ones(6, 6))

    def train(self, mode=True):
        if mode != self.training:
            self.weight.data += self.delta.data * (-1 if mode else 1)
        return super().train(mode)

    def forward(self, x):
        return x @ (self.weight + self.delta if self.training else self.weight)


def weight_norm():
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 6)), nn.Tanh(), nn.Linear(6, 2))


def parametrized():
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    nn.utils.parametrizations.spectral_norm(model[0])
    nn.utils.parametrizations.orthogonal(model[2])
    return model


def encoder_layer():
    return nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)


def encoder():
    return nn.TransformerEncoder(encoder_layer(), 2)


def rows(batch, seed=1):
    return example(batch, 6, seed=seed)


def sequences(batch, seed=1):
    return example(batch, 5, 6, seed=seed)


def images(batch, seed=1):
    return example(batch, 3, 12, 12, seed=seed)


def tokens(batch, seed=1):
    return tenon_blueprint.example_inputs(seed, ((batch, 7), torch.int64, 11))


def resnet18():
    from torchvision.models import resnet18 as make
    return make()


def photos(batch, seed=1):
    return example(batch, 3, 32, 32, seed=seed)


EQUAL = {
    "ConvNet": (ConvNet, images), "Tied": (lambda: Tied(True), rows), "Buffered": (lambda: Buffered(True), rows),
    "Stores": (Stores, rows),
    "StoresByName": (StoresByName, rows), "Reshaping": (Reshaping, sequences), "Recurrent": (Recurrent, sequences),
    "Attention": (Attention, sequences), "Draws": (Draws, rows),
    "Embedding": (Embedding, tokens),
    "weight_norm": (weight_norm, rows), "parametrized": (parametrized, rows),
    "TransformerEncoderLayer": (encoder_layer, sequences), "TransformerEncoder": (encoder, sequences),
    "inplace": (lambda: ConvNet(act=nn.ReLU(inplace=True)), images), "Caches": (Caches, tokens),
    "WritesIntoInput": (WritesIntoInput, rows), "spectral_norm": (lambda: spectral(2), rows),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(11, 6, max_norm=0.5), tokens),
}
try:
    import torchvision  # noqa: F401
    EQUAL["resnet18"] = (resnet18, photos)
except (ImportError, RuntimeError, AttributeError) as problem:  # a torchvision of another torch does not even import
    print(f"without torchvision's resnet18: {problem}")


class NoFalseAlarms(FolderTest):
    """The same class with the same state dict: exit 0, no causes."""

    def for_each(self, names=tuple(EQUAL), change_inputs=lambda inputs: inputs(3),
                 change_model=lambda model: model, around=contextlib.nullcontext):
        for name in names:
            make, inputs = EQUAL[name]
            with self.subTest(name):
                saved = trained(make())
                path = self.save(saved, inputs(3))
                again = make()
                again.load_state_dict(saved.state_dict())
                again = change_model(again)
                with around():
                    document = self.check(path, again, change_inputs(inputs))
                self.assertEqual(document["causes"], [])
                self.assertTrue(document["fits"])
                self.assertEqual(document["architecture"], [])
                self.assertIn(document["proved"], ("architecture", "function"))

    def test_same(self):
        self.for_each()

    def test_other_batch_size(self):
        for batch in (2, 6, 8):
            self.for_each(change_inputs=lambda inputs: inputs(batch, seed=4))

    def test_other_batch_size_of_the_same_input_seed(self):
        self.for_each(change_inputs=lambda inputs: inputs(2))

    def test_batch_of_one(self):
        self.for_each(change_inputs=lambda inputs: inputs(1))

    def test_batch_that_is_also_another_extent(self):
        self.for_each(names=["Recurrent"], change_inputs=lambda inputs: inputs(4))
        self.for_each(names=["Reshaping"], change_inputs=lambda inputs: inputs(5))

    def test_other_thread_count(self):
        class Threads:
            def __enter__(self):
                self.before = torch.get_num_threads()
                torch.set_num_threads(1 if self.before > 1 else 2)

            def __exit__(self, *problem):
                torch.set_num_threads(self.before)

        self.for_each(around=Threads)

    def test_training_mode_and_back(self):
        self.for_each(change_model=lambda model: model.train().eval())
        self.for_each(change_model=lambda model: model.eval().train())

    def test_gradients_off_around_it(self):
        self.for_each(around=torch.no_grad)

    def test_to_float64_and_back(self):
        def there_and_back(model):
            tied = any(row["tied_to"] for row in tenon_blueprint.blueprint(model)["tensors"])
            model = model.double().float()
            self.assertEqual(tied, any(row["tied_to"] for row in tenon_blueprint.blueprint(model)["tensors"]))
            return model

        self.for_each(change_model=there_and_back)

    def test_frozen(self):
        self.for_each(change_model=lambda model: model.requires_grad_(False))

    def test_with_hooks(self):
        def hooked(model):
            for module in model.modules():
                module.register_forward_hook(lambda module, args, output: None)
                module.register_forward_pre_hook(lambda module, args: None)
                module.register_full_backward_hook(lambda module, into, out: None)
            return model

        self.for_each(change_model=hooked)

    def test_after_it_ran(self):
        for name, (make, inputs) in EQUAL.items():
            with self.subTest(name):
                saved = trained(make()).eval()
                path = self.save(saved, inputs(3))
                saved(*inputs(5))
                self.assertEqual(self.check(path, saved, inputs(3))["causes"], [])
                if name != "StoresByName":
                    self.assertEqual(self.check(path, saved)["causes"], [])

    def test_without_inputs_on_one_side(self):
        for name, (make, inputs) in EQUAL.items():
            with self.subTest(name):
                saved = trained(make())
                path = self.save(saved)
                self.assertEqual(self.check(path, saved, inputs(3))["causes"], [])

    def test_copied(self):
        names = [name for name in EQUAL if name != "weight_norm"]  # torch cannot copy its older form
        self.for_each(names, change_model=copy.deepcopy)

    def test_ways_to_write_the_same(self):
        relu = nn.ReLU()
        table = [
            (functional(lambda self, x: self.one(x).view(-1, 3, 2)), functional(lambda self, x: self.one(x).reshape(-1, 3, 2))),
            (functional(lambda self, x: torch.multiply(self.one(x), x)), functional(lambda self, x: self.one(x) * x)),
            (functional(lambda self, x: F.relu(self.one(x))), functional(lambda self, x: self.one(x).relu())),
            (functional(lambda self, x: self.one(x) + self.two(x)), functional(lambda self, x: self.exchanged(x))),
            (lambda: nn.Sequential(nn.Linear(6, 6), relu, nn.Linear(6, 6), relu),
             lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU())),
            (lambda: Scaled(act=nn.ReLU()), lambda: Scaled(act=nn.ReLU(), nothing=nn.Identity())),
            (lambda: Scaled(folder="/home/one/run"), lambda: Scaled(folder="/home/two/run")),
        ]
        for number, (make_saved, make_other) in enumerate(table):
            with self.subTest(number):
                saved = trained(make_saved())
                path = self.save(saved, rows(3))
                other = make_other()
                other.load_state_dict(saved.state_dict())
                document = self.check(path, other, rows(3))
                self.assertEqual((document["causes"], document["architecture"]), ([], []))

    def test_compiled_to_torchscript(self):
        """Its modules show no options: the outputs tell."""
        for change, fits in ((lambda model: model, True), (lambda model: setattr(model, "act", nn.Tanh()), False)):
            saved = trained(ConvNet())
            path = self.save(saved, images(3))
            change(saved)
            document = self.check(path, torch.jit.trace(saved.eval(), images(3)), images(3))
            self.assertEqual((document["fits"], document["probe"]["verdict"] != "other_function"), (fits, fits))

    def test_longer_sequences_and_larger_images(self):
        self.for_each(["Attention", "TransformerEncoder", "Recurrent", "Embedding"], lambda inputs: longer(inputs(2)))
        self.for_each(["ConvNet"], lambda inputs: (torch.rand(2, 3, 16, 20),))

    def test_second_process(self):
        """Another process, another working folder, another place of the file."""
        program = ("import sys; sys.path[:0] = [{tests!r}]; sys.argv[1:] = []; import tenon_blueprint_test as t\n"
                   "import torch\n"
                   "for name, (make, inputs) in t.EQUAL.items():\n"
                   "    model = t.trained(make())\n"
                   "    t.tenon_blueprint.write(model, name, inputs=inputs(3))\n").format(
                       tests=str(pathlib.Path(__file__).resolve().parent))
        away = self.folder / "somewhere" / "else"
        away.mkdir(parents=True)
        ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=away, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        for name, (make, inputs) in EQUAL.items():
            with self.subTest(name):
                path = self.save(trained(make()), inputs(3))
                ran = self.tenon("check", path, "--against", away / (name + ".blueprint.json"), "--json")
                document = json.loads(ran.stdout)
                self.assertEqual((ran.returncode, document["causes"]), (0, []))

    def test_moved_file(self):
        path = self.save(trained(ConvNet()), images(3))
        other = self.folder / "moved" / "renamed.bin"
        other.parent.mkdir()
        shutil.move(path, other)
        shutil.move(str(path) + ".blueprint.json", str(other) + ".blueprint.json")
        self.assertEqual(self.check(other, trained(ConvNet()), images(3))["proved"], "function")


# ---- the model is untouched -----------------------------------------------------------------------------------------


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        torch.randn(3), random.random()
        self.norm.running_mean.add_(1)
        self.inner(x)
        raise RuntimeError("on purpose")


def member_facts(module):
    """Members by identity, lists and dicts also by content."""
    return {name: (id(value), repr(value) if isinstance(value, (list, dict)) and not name.startswith("_") else None)
            for name, value in vars(module).items() if name != "training"}


def longer(inputs):
    """The same with two more steps on axis 1."""
    return tuple(torch.cat([tensor, tensor[:, :2]], 1) for tensor in inputs)


def hook_count(model):
    return sum(len(value) for module in model.modules() for name, value in vars(module).items()
               if name.endswith("_hooks"))


class Untouched(FolderTest):
    def facts(self, model):
        return {
            "modes": [module.training for module in model.modules()],
            "bits": [tensor.detach().clone().numpy().tobytes() for tensor in model.state_dict().values()],
            "identities": [id(tensor) for tensor in list(model.parameters()) + list(model.buffers())],
            "gradients": [tensor.requires_grad for tensor in model.parameters()],
            "hooks": hook_count(model), "setattr": nn.Module.__setattr__, "torch": torch.get_rng_state().tolist(),
            "python": random.getstate(), "members": [member_facts(module) for module in model.modules()],
            "grad_mode": torch.is_grad_enabled(), "attributes": set(vars(model)),
        }

    def test_after_a_blueprint(self):
        for name, (make, inputs) in {**EQUAL, "OwnTrain": (OwnTrain, rows)}.items():
            with self.subTest(name):
                model = trained(make()).train()
                for child in itertools.islice(model.children(), 1):
                    child.eval()  # mixed modes stay mixed
                model(*inputs(3))
                with torch.no_grad():
                    for tensor in model.parameters():
                        tensor.mul_(1.5)  # a bounded row is too long again
                before, given = self.facts(model), inputs(3)
                tenon_blueprint.blueprint(model, inputs=given)
                self.assertEqual(self.facts(model), before)
                self.assertTrue(all(torch.equal(a, b) for a, b in zip(given, inputs(3))))

    def test_a_first_run_leaves_no_table(self):
        model = Caches()
        tenon_blueprint.blueprint(model, inputs=tokens(2))
        self.assertIsNone(model.table)
        self.assertEqual(model.kept, {"rows": []})

    def test_after_forward_raised(self):
        model = Raises()
        before = self.facts(model)
        with self.assertRaisesRegex(RuntimeError, "on purpose"):
            tenon_blueprint.write(model, self.folder / "model.pth", inputs=rows(3))
        self.assertEqual(self.facts(model), before)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(torch.randn(2).shape, (2,))  # the recorder is gone, too

    def test_a_file_appears_whole_or_not_at_all(self):
        path = self.save(trained(ConvNet()), images(2))
        old = pathlib.Path(str(path) + ".blueprint.json").read_bytes()
        with self.assertRaises(Exception):
            tenon_blueprint.write(ConvNet(), path, inputs=rows(2))  # not an image
        self.assertEqual(pathlib.Path(str(path) + ".blueprint.json").read_bytes(), old)
        self.assertEqual(len(os.listdir(self.folder)), 2)

    def test_what_is_no_module_is_refused(self):
        with self.assertRaises(TypeError):
            tenon_blueprint.blueprint({"weight": torch.zeros(2)})
        with self.assertRaises(ValueError):
            tenon_blueprint.blueprint(nn.ReLU(), inputs=())

    def test_odd_row_counts_are_told(self):
        mixing = Functional(lambda self, x: self.one(x).view(-1, 3))
        with self.assertWarnsRegex(UserWarning, "4 rows in, 8 rows out"):
            tenon_blueprint.write(mixing, self.folder / "model", inputs=rows(4))


# ---- state that is not saved ----------------------------------------------------------------------------------------


class Slow(nn.Linear):
    """Two operations, and a second of time between them."""

    def forward(self, x):
        x = super().forward(x)
        time.sleep(0.3)
        self.after = True
        return torch.relu(x)


class ReplacesItsBuffer(nn.Module):
    """Puts another tensor in the buffer's place, writes into a second one, and draws from every generator; may raise."""

    def __init__(self, raises=False):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("count", torch.zeros(()))
        self.raises = raises
        self.norm.eval()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        self.mean = self.mean + x.mean(0)
        self.count += 1
        random.random()
        self.norm.train()  # against the evaluation mode that it is run in
        x = F.dropout(self.norm(x), 0.5, training=True)
        if self.raises:
            raise RuntimeError("as planned")
        return self.drop(x)


class Limits(FolderTest):
    def test_a_run_that_takes_too_long_is_stopped_and_left_out(self):
        model = Slow(4, 2)
        document = tenon_blueprint.blueprint(model, example(3, 4), max_seconds=0.1)
        self.assertNotIn("probe", document)
        self.assertNotIn("graph", document)
        self.assertRegex(document["left_out"][0], r"^operations and probe: the run took 0\.\d s, the limit is 0\.1 s$")
        self.assertEqual([row["name"] for row in document["tensors"]], ["weight", "bias"])
        self.assertTrue(model.training)

    def test_large_inputs_are_not_run(self):
        document = tenon_blueprint.blueprint(Raises(), example(3, 4), max_bytes=47)
        self.assertEqual(document["left_out"], ["operations and probe: the inputs have 48 bytes, the limit is 47"])

    def test_large_outputs_leave_the_operations(self):
        document = tenon_blueprint.blueprint(nn.Linear(4, 100), example(3, 4), max_bytes=1000)
        self.assertEqual(document["left_out"], ["probe: inputs and outputs have 1248 bytes, the limit is 1000"])
        self.assertEqual([node["op"] for node in document["graph"]["nodes"]], ["linear", "output"])

    def test_operations_of_hooks_are_their_modules(self):
        model = weight_norm()
        model[2].register_forward_hook(lambda module, args, output: output * 2)
        nodes = tenon_blueprint.blueprint(model, rows(2))["graph"]["nodes"]
        self.assertEqual([(node["op"], node["module"]) for node in nodes if node["op"] != "tanh"],
                         [("_weight_norm", "0"), ("linear", "0"), ("linear", "2"), ("mul", "2"), ("output", "")])

    def test_a_run_that_raises_leaves_modules_callable_as_before(self):
        call, set_attribute = nn.Module.__call__, nn.Module.__setattr__
        with self.assertRaisesRegex(RuntimeError, "on purpose"):
            tenon_blueprint.blueprint(Raises(), rows(2))
        self.assertIs(nn.Module.__call__, call)
        self.assertIs(nn.Module.__setattr__, set_attribute)

    def test_more_operations_than_are_written_down_are_told(self):
        most, tenon_blueprint.MAX_NODES = tenon_blueprint.MAX_NODES, 1
        try:
            document = tenon_blueprint.blueprint(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), example(3, 4))
        finally:
            tenon_blueprint.MAX_NODES = most
        self.assertEqual(document["left_out"], ["operations: only the first 1 are written down"])
        self.assertEqual([node["op"] for node in document["graph"]["nodes"]], ["linear", "output"])
        self.assertIn("probe", document)

    def test_write_warns_and_tenon_says_why_outputs_were_not_compared(self):
        torch.manual_seed(0)
        model = Slow(4, 2)
        torch.save(model.state_dict(), self.folder / "model.pth")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tenon_blueprint.write(model, self.folder / "model.pth", example(3, 4), max_seconds=0.1)
        self.assertIn("left out of the blueprint: operations and probe", str(caught[0].message))
        tenon_blueprint.write(model, self.folder / "other.blueprint.json", example(3, 4))
        ran = self.tenon("check", "model.pth", "--against", "other.blueprint.json")
        self.assertEqual(ran.returncode, 0)
        self.assertIn("left out of the file's blueprint: operations and probe: the run took", " ".join(ran.stdout.split()))

    def test_whatever_forward_does_leaves_no_trace(self):
        for raises in (False, True):
            model = ReplacesItsBuffer(raises)
            before = {name: (id(buffer), buffer.clone()) for name, buffer in model.named_buffers()}
            modes = [module.training for module in model.modules()]
            states = torch.get_rng_state(), random.getstate()
            with contextlib.suppress(RuntimeError):
                tenon_blueprint.blueprint(model, example(5, 3))
            for name, buffer in model.named_buffers():
                self.assertEqual(id(buffer), before[name][0], name)
                self.assertTrue(torch.equal(buffer, before[name][1]), name)
            self.assertEqual(modes, [module.training for module in model.modules()])
            self.assertTrue(torch.equal(states[0], torch.get_rng_state()))
            self.assertEqual(states[1], random.getstate())
            self.assertTrue(torch.is_grad_enabled())


class Tolerance(FolderTest):
    """Outputs that cancel to nearly 0: what another order of summation leaves is no other function; a change is."""

    def blueprints(self, change):
        torch.manual_seed(0)
        inner = nn.Sequential(nn.Linear(64, 512), nn.LayerNorm(512))

        class Cancels(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                return ends[-1](self.inner(x))

        ends, documents = [], []
        for end in (lambda x: x.sum(-1), change):
            ends.append(end)
            documents.append(tenon_blueprint.blueprint(Cancels(), example(32, 64)))
        return documents

    def verdict(self, change):
        documents = self.blueprints(change)
        for document, name in zip(documents, ("a", "b")):
            del document["graph"]  # the probe alone is to tell
            with open(self.folder / (name + ".blueprint.json"), "w") as out:
                json.dump(document, out)
        return json.loads(self.tenon("check", "a.blueprint.json", "--against", "b.blueprint.json",
                                     "--json").stdout)["probe"]["verdict"]

    def test_another_order_of_summation_is_the_same_function(self):
        self.assertEqual(self.verdict(lambda x: x.flip(-1).sum(-1)), "within_tolerance")
        self.assertNotEqual(self.verdict(lambda x: x.reshape(-1, 16, 32).sum(1).sum(-1)), "other_function")

    def test_a_change_is_another_one(self):
        self.assertEqual(self.verdict(lambda x: x[:, 1:].sum(-1)), "other_function")
        self.assertEqual(self.verdict(lambda x: x.abs().sum(-1)), "other_function")
        self.assertEqual(self.verdict(lambda x: (x * 1.01).clamp(max=3).sum(-1)), "other_function")

    def test_rule(self):
        row = tenon_blueprint.blueprint(nn.Linear(4, 2), example(3, 4))["probe"]["outputs"][0]
        self.assertAlmostEqual(row["tolerance"], max(2 ** -11.5 * row["scale"], 2 ** -15 * 2), delta=2e-6)


class Holder(nn.Module):
    def __init__(self, **attributes):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.layer(x)


class SavesLess(Holder):
    def state_dict(self, *args, **kwargs):
        state = super().state_dict(*args, **kwargs)
        state.pop("layer.bias")
        return state


def with_buffer(persistent):
    holder = Holder()
    holder.register_buffer("shift", torch.ones(2), persistent=persistent)
    return holder


def linear():
    return nn.Linear(2, 2)


def tensor():
    return torch.ones(2)


# name, model, what unregistered() names
UNREGISTERED = [
    ("tensor attribute", lambda: Holder(scale=tensor()), {"scale": "tensor attribute"}),
    ("tensors in a list", lambda: Holder(kept=[tensor(), tensor()]),
     {"kept.0": "tensor in a list", "kept.1": "tensor in a list"}),
    ("tensor in a dict", lambda: Holder(kept={"a": tensor()}), {"kept.a": "tensor in a dict"}),
    ("tensor in a tuple", lambda: Holder(kept=(1, tensor())), {"kept.1": "tensor in a tuple"}),
    ("nested", lambda: Holder(kept={"a": [0, (tensor(),)]}), {"kept.a.1.0": "tensor in a tuple"}),
    ("modules in a list", lambda: Holder(layers=[linear()]),
     {"layers.0.weight": "module in a list", "layers.0.bias": "module in a list"}),
    ("modules in a dict", lambda: Holder(layers={"in": nn.Linear(2, 2, bias=False)}),
     {"layers.in.weight": "module in a dict"}),
    ("deeper in the tree", lambda: Holder(inner=Holder(scale=tensor())), {"inner.scale": "tensor attribute"}),
    ("non-persistent buffer", lambda: with_buffer(False), {"shift": "non-persistent buffer"}),
    ("left out by an override", SavesLess, {"layer.bias": "left out by state_dict()"}),
    ("list that holds itself", lambda: Holder(kept=itself()), {"kept.1": "tensor in a list"}),
    ("persistent buffer", lambda: with_buffer(True), {}),
    ("registered module in a list as well", lambda: also_in_a_list(), {}),
    ("ModuleList and ParameterDict", lambda: Holder(a=nn.ModuleList([linear()]), b=nn.ParameterDict({"c": tensor()})),
     {}),
    ("RNN", lambda: nn.RNN(2, 2, 2), {}), ("LSTM", lambda: nn.LSTM(2, 2, proj_size=1), {}),
    ("MultiheadAttention", lambda: nn.MultiheadAttention(4, 2), {}), ("encoder", encoder, {}),
    ("parametrized", parametrized, {}), ("weight_norm", weight_norm, {}), ("pruned", lambda: pruned(), {}),
    ("older spectral_norm", lambda: nn.utils.spectral_norm(linear()), {}),
    ("DataParallel", lambda: nn.DataParallel(ConvNet()), {}), ("tied", lambda: Tied(True), {}),
]


def pruned():
    from torch.nn.utils import prune
    return prune.random_unstructured(linear(), "weight", amount=1)


def itself():
    kept = [1, tensor()]
    kept.append(kept)
    return kept


def also_in_a_list():
    holder = Holder()
    holder.layers = [holder.layer]
    holder.weights = [holder.layer.weight]
    return holder


class Unregistered(FolderTest):
    def test_table(self):
        for name, make, expected in UNREGISTERED:
            with self.subTest(name):
                found = {row["name"]: row["why"] for row in tenon_blueprint.unregistered(make())}
                self.assertEqual(found, expected)

    def test_parameter_that_only_the_optimizer_knows(self):
        model, extra = Holder(), nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([{"params": model.parameters()}, {"params": [extra]}], lr=0.1)
        self.assertEqual(tenon_blueprint.unregistered(model, optimizer),
                         [{"name": "<group 1 parameter 0>", "why": "parameter of the optimizer"}])
        groups = tenon_blueprint.blueprint(model, optimizer=optimizer)["optimizer"]["groups"]
        self.assertEqual(groups[0]["parameters"], ["layer.weight", "layer.bias"])
        self.assertEqual(groups[0]["options"]["lr"], 0.1)

    def test_write_warns_and_check_tells(self):
        model = Holder(layers=[linear()])
        torch.save(model.state_dict(), self.folder / "model.pth")
        with self.assertWarnsRegex(UserWarning, "layers.0.weight"):
            tenon_blueprint.write(model, self.folder / "model.pth")
        document = self.check(self.folder / "model.pth", model)
        self.assertIn("custom_layer_state", [cause["id"] for cause in document["causes"]])


# ---- inside a checkpoint --------------------------------------------------------------------------------------------


def safetensors(state):
    """The bytes of a safetensors file, written by hand."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in state.items():
        values = tensor.detach().numpy().tobytes()
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        place = [len(data), len(data) + len(values)]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": place}
        data += values
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_parts(content):
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8:8 + size]), content[8 + size:]


class Embedded(FolderTest):
    def test_zip(self):
        model = trained(ConvNet())
        path = self.folder / "model.pth"
        for saved in (model.state_dict(), {"epoch": 3, "model": model.state_dict()}):
            torch.save(saved, path)
            document = tenon_blueprint.blueprint(model, inputs=images(2))
            tenon_blueprint.embed(path, document)
            loaded = torch.load(path, weights_only=True)
            loaded = loaded.get("model", loaded)
            for name, tensor in model.state_dict().items():
                self.assertEqual(loaded[name].numpy().tobytes(), tensor.numpy().tobytes())
            told = self.tenon("blueprint", path, "--quiet").stdout.strip()
            self.assertEqual(told, document["digests"]["architecture"])
            self.assertEqual(json.loads(self.tenon("blueprint", path, "--json").stdout)["class"], "ConvNet")
            self.assertTrue(json.loads(self.tenon("verify", path, "--json").stdout)["files"][0]["ok"])
            before = path.read_bytes()
            with self.assertRaisesRegex(ValueError, "has a blueprint already"):
                tenon_blueprint.embed(path, document)
            self.assertEqual(path.read_bytes(), before)
        self.assertEqual(os.listdir(self.folder), ["model.pth"])

    def test_zip_is_checked(self):
        saved = trained(ConvNet())
        path = self.folder / "model.pth"
        torch.save(saved.state_dict(), path)
        tenon_blueprint.embed(path, tenon_blueprint.blueprint(saved, inputs=images(2)))
        self.assertEqual(self.check(path, saved, images(2))["proved"], "function")
        self.assertFalse(self.check(path, ConvNet(pool=nn.AvgPool2d(2)), images(2))["fits"])

    def test_safetensors(self):
        model = trained(ConvNet())
        path = self.folder / "model.safetensors"
        path.write_bytes(safetensors(model.state_dict()))
        header, data = safetensors_parts(path.read_bytes())
        for shape in (2, 3):  # a second time replaces the first blueprint
            document = tenon_blueprint.blueprint(model, inputs=images(shape))
            tenon_blueprint.embed(path, document)
            new_header, new_data = safetensors_parts(path.read_bytes())
            self.assertEqual(json.loads(new_header["__metadata__"].pop("tenon.blueprint")), document)
            self.assertEqual((new_header, new_data), (header, data))
            told = self.tenon("blueprint", path, "--quiet").stdout.strip()
            self.assertEqual(told, document["digests"]["architecture"])
        self.assertEqual(self.check(path, model, images(3))["proved"], "function")
        self.assertEqual(self.check(path, ConvNet(act=nn.Tanh()), images(3))["fits"], False)

    def test_a_file_with_digests_stays_whole(self):
        model = trained(ConvNet())
        foreign = self.folder / "model.pth"
        torch.save(model.state_dict(), foreign)
        document = tenon_blueprint.blueprint(model, inputs=images(2))
        own = self.folder / "model.safetensors"
        self.tenon("convert", foreign, own)
        self.assertIn("tenon.digests", safetensors_parts(own.read_bytes())[0]["__metadata__"])
        tenon_blueprint.embed(own, document)
        self.assertTrue(json.loads(self.tenon("verify", own, "--json").stdout)["files"][0]["ok"])
        archive = self.folder / "own.pt"
        self.tenon("convert", foreign, archive)
        before = archive.read_bytes()
        with self.assertRaisesRegex(ValueError, "holds tenon's digests"):
            tenon_blueprint.embed(archive, document)
        self.assertEqual(archive.read_bytes(), before)

    def test_links_mode_and_long_names_are_kept(self):
        model = trained(ConvNet())
        path = self.folder / ("n" * 251 + ".pth")
        torch.save(model.state_dict(), path)
        os.chmod(path, 0o640)
        link = self.folder / "link.pth"
        link.symlink_to(path.name)
        tenon_blueprint.embed(link, tenon_blueprint.blueprint(model, inputs=images(2)))
        self.assertTrue(link.is_symlink())
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(sorted(os.listdir(self.folder)), sorted([link.name, path.name]))
        self.assertEqual(self.check(path, model, images(2))["proved"], "function")

    def test_what_a_killed_write_left_goes_with_the_next_save(self):
        path = self.folder / "model.pth"
        torch.save(trained(ConvNet()).state_dict(), path)
        script = ("import os, sys; sys.path.insert(0, sys.argv[2]); import tenon_blueprint\n"
                  "tenon_blueprint._replace(sys.argv[1], lambda out: os._exit(9))")
        folder = os.path.dirname(tenon_blueprint.__file__)
        subprocess.run([sys.executable, "-c", script, str(path), folder], check=False)
        self.assertEqual(len(os.listdir(self.folder)), 2)
        self.tenon("convert", path, self.folder / "out.safetensors")
        self.assertEqual(sorted(os.listdir(self.folder)), ["model.pth", "out.safetensors"])

    def test_other_files_are_refused_and_untouched(self):
        document = tenon_blueprint.blueprint(Tied(True))
        empty_zip = b"PK\x05\x06" + bytes(18)
        kinds = {"text": b"weights, please", "empty": b"", "short": b"PK", "zip": empty_zip,
                 "pickle": pickle.dumps({"a": 1}), "cut": struct.pack("<Q", 1 << 40) + b'{"a": 1}',
                 "cut zip": b"PK\x03\x04" + bytes(100)}
        for name, content in kinds.items():
            with self.subTest(name):
                path = self.folder / name
                path.write_bytes(content)
                with self.assertRaises(ValueError):
                    tenon_blueprint.embed(path, document)
                self.assertEqual(path.read_bytes(), content)
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(kinds))


# ---- what both sides compute alike ----------------------------------------------------------------------------------


class Agreement(FolderTest):
    def test_architecture_digests_are_those_of_tenon(self):
        for name, (make, inputs) in EQUAL.items():
            for given in (inputs(3), None):
                with self.subTest(name, inputs=given is not None):
                    path = self.save(trained(make()), given)
                    written = json.loads(pathlib.Path(str(path) + ".blueprint.json").read_text())["digests"]
                    self.assertEqual(self.tenon("blueprint", path, "--quiet").stdout.strip(), written["architecture"])

    def test_example_inputs_follow_the_published_formula(self):
        def splitmix64(x):
            x = (x + 0x9e3779b97f4a7c15) % 2**64
            x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 % 2**64
            x = (x ^ (x >> 27)) * 0x94d049bb133111eb % 2**64
            return x ^ (x >> 31)

        self.assertEqual(splitmix64(0), 0xe220a8397b1dcdaf)  # the published first value of the sequence from 0
        seed = 2**64 - 3
        values, indexes = tenon_blueprint.example_inputs(seed, ((3, 4), torch.bfloat16), ((5,), torch.int64, 11))
        floating = [(splitmix64((seed + i) % 2**64) >> 56) / 64 - 2 for i in range(12)]
        integers = [(splitmix64((seed + 12 + i) % 2**64) >> 33) % 11 for i in range(5)]
        self.assertEqual(values.double().reshape(-1).tolist(), floating)
        self.assertEqual(indexes.tolist(), integers)

    def test_example_inputs_take_the_name_of_a_dtype(self):
        (named,) = tenon_blueprint.example_inputs(3, ((2, 2), "float16"))
        (given,) = tenon_blueprint.example_inputs(3, ((2, 2), torch.float16))
        self.assertEqual(named.dtype, torch.float16)
        self.assertTrue(torch.equal(named, given))
        with self.assertRaisesRegex(TypeError, "'half precision' is no dtype"):
            tenon_blueprint.example_inputs(3, ((2, 2), "half precision"))

    def test_probe_says_what_the_model_computed(self):
        model = trained(Tied(True)).eval()
        (x,) = rows(4)
        probe = tenon_blueprint.blueprint(model, inputs=(x,))["probe"]
        out = model(x).detach()
        digest = "sha256:" + hashlib.sha256(out.numpy().tobytes()).hexdigest()
        self.assertEqual(probe["outputs"][0]["digest"], digest)
        self.assertEqual(probe["outputs"][0]["sample"], out.reshape(-1).double().tolist())
        self.assertEqual(probe["outputs"][0]["tolerance"], 2**-11.5 * float(out.abs().max()))
        self.assertEqual(probe["inputs"][0]["values"], x.reshape(-1).tolist())
        self.assertEqual([row["name"] for row in probe["modules"]], ["embed", "out"])

    def test_blueprints_of_two_calls_are_equal(self):
        for name, (make, inputs) in EQUAL.items():
            if name == "Draws":
                continue  # other random numbers, other outputs
            with self.subTest(name):
                model = trained(make())
                first, second = (tenon_blueprint.blueprint(model, inputs(3)) for _ in range(2))
                self.assertEqual(first, second)

    def test_no_names_of_the_machine(self):
        text = json.dumps(tenon_blueprint.blueprint(ConvNet(), images(2))["environment"])
        for name in (socket.gethostname(), str(pathlib.Path.home()) + "/", os.getcwd()):
            self.assertNotIn(name, text)


# ---- custom layers --------------------------------------------------------------------------------------------------


class Asymmetric(nn.Linear):
    """Saves its weight transposed and takes it as it is."""

    def __init__(self):
        super().__init__(6, 6)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = self.weight.detach().t().contiguous()


class Symmetric(Asymmetric):
    def _load_from_state_dict(self, state, prefix, *rest):
        state[prefix + "weight"] = state[prefix + "weight"].t().contiguous()
        super()._load_from_state_dict(state, prefix, *rest)


class Numbered(nn.Module):
    made = 0

    def __init__(self):
        super().__init__()
        Numbered.made += 1
        self.add_module("layer{}".format(Numbered.made), nn.Linear(6, 6))

    def forward(self, x):
        return next(self.children())(x)


class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(6, 6), nn.Linear(6, 6)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class TensorAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.weights = torch.randn(6, 6)

    def forward(self, x):
        return self.layer(x) @ self.weights


class KeepsToItself(nn.Linear):
    def __init__(self):
        super().__init__(6, 6)

    def load_state_dict(self, state, strict=True):
        return super().load_state_dict({**state, "bias": self.bias.detach()}, strict)


class Parents(FolderTest):
    """What changed since the parent, and the digest by which `tenon log` finds it."""

    def child_of(self, parent, model, inputs=None, name="child.pth", **given):
        path = self.folder / name
        torch.save(model.state_dict(), path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tenon_blueprint.write(model, path, inputs=inputs, parent=parent, **given)
        return json.loads(self.tenon("log", path, "--json").stdout)

    def test_tenon_finds_the_parent(self):
        for name, (make, inputs) in EQUAL.items():
            for given in (inputs(3), None):
                with self.subTest(name, inputs=given is not None):
                    parent = self.save(trained(make()), given, "parent.pth")
                    log = self.child_of(parent, trained(make(), seed=8), given)
                    (row,) = log["parents"]
                    self.assertEqual((row["file"], row["found"]), ("parent.pth", True))
                    self.assertEqual(row["digest"], json.loads(self.tenon("log", parent, "--json").stdout)["digest"])
                    self.assertEqual(log["changes"], [])

    def test_changes(self):
        before = trained(ConvNet())
        parent = self.save(before, None, "parent.pth")
        frozen = trained(ConvNet())
        frozen.head.requires_grad_(False)
        for name, model, told in (
                ("added", ConvNet(extra=nn.MaxPool2d(3, 1)), "module extra added: MaxPool2d(ceil_mode=false, dilation=1, "
                 "kernel_size=3, padding=0, return_indices=false, stride=1)"),
                ("option", ConvNet(drop=nn.Dropout(0.25)), "drop: option p changed from Dropout(p=0.5) to Dropout(p=0.25)"),
                ("class", ConvNet(act=nn.Tanh()), "act: class changed from ReLU() to Tanh()"),
                ("frozen", frozen, "2 tensors frozen: head.weight, head.bias"),
                ("shape", ConvNet(norm=nn.BatchNorm2d(4, affine=False)), "2 tensors removed: norm.weight, norm.bias"),
                ("dtype", ConvNet().half(), "13 tensors")):
            with self.subTest(name):
                changes = self.child_of(parent, model)["changes"]
                if name == "dtype":
                    self.assertIn("changed dtype: first.weight float32 to float16", changes[0])
                else:
                    self.assertIn(told, changes)
                    self.assertLessEqual(len(changes), 2)

    def test_changes_of_operations(self):
        before, after = Functional(lambda m, x: m.two(torch.relu(m.one(x)))), Functional(lambda m, x: m.two(m.one(x)))
        parent = self.save(trained(before), rows(3), "parent.pth")
        self.assertEqual(self.child_of(parent, trained(after), rows(3))["changes"],
                         ["the model: operation relu removed"])

    def test_parents_of_every_form(self):
        model = trained(ConvNet())
        beside = self.save(model, None, "beside.pth")
        document = tenon_blueprint.blueprint(model)
        zipped = self.folder / "zipped.pth"
        torch.save(model.state_dict(), zipped)
        tenon_blueprint.embed(zipped, document)
        alone = self.folder / "alone.blueprint.json"
        alone.write_text(json.dumps(document))
        self.tenon("convert", zipped, "inside.safetensors")
        forms = (beside, zipped, alone, self.folder / "inside.safetensors", document)
        digests = {tenon_blueprint.blueprint(model, parent=form)["parents"][0]["digest"] for form in forms}
        self.assertEqual(len(digests), 1)

    def test_a_parent_without_a_blueprint_is_refused(self):
        path = self.folder / "bare.pth"
        torch.save(ConvNet().state_dict(), path)
        for parent in (path, {"schema": "other"}):
            with self.assertRaises(ValueError):
                tenon_blueprint.blueprint(ConvNet(), parent=parent)

    def test_generations(self):
        model = trained(ConvNet())
        first = self.save(model, None, "first.pth")
        self.child_of(first, ConvNet(drop=nn.Dropout(0.1)), name="second.pth")
        log = self.child_of(self.folder / "second.pth", ConvNet(act=nn.Tanh()), name="third.pth", training={"epoch": 2})
        self.assertEqual([row["file"] for row in log["parents"]], ["second.pth", "first.pth"])
        self.assertTrue(all(row["found"] for row in log["parents"]))


class RoundTrip(FolderTest):
    def test_good_layers_pass(self):
        for name, (make, inputs) in EQUAL.items():
            with self.subTest(name):
                tenon_blueprint.expect_round_trip(make, inputs(2))
        tenon_blueprint.expect_round_trip(Symmetric, rows(2))

    def test_problems_are_named(self):
        table = [
            (PlainList, "layers.0.weight is not saved: module in a list"),
            (TensorAttribute, "weights is not saved: tensor attribute"),
            (Asymmetric, "weight has other values after loading"),
            (KeepsToItself, "bias has other values after loading"),
            (Numbered, "other names"),
            (SavesLess, "layer.bias is not saved: left out by state_dict()"),
        ]
        for make, problem in table:
            inputs = example(2, 2) if make is SavesLess else rows(2)
            with self.subTest(make.__name__):
                with self.assertRaises(AssertionError) as caught:
                    tenon_blueprint.expect_round_trip(make, inputs)
                self.assertIn(problem, str(caught.exception))

    def test_training_that_the_file_lacks(self):
        def train(model):
            model.weights = model.weights + 1

        with self.assertRaisesRegex(AssertionError, "weights is not saved"):
            tenon_blueprint.expect_round_trip(TensorAttribute, rows(2), train)


# ---- the examples ---------------------------------------------------------------------------------------------------


class Examples(FolderTest):
    def run_example(self, name, tenon):
        return subprocess.run([sys.executable, str(REPO / "examples" / "python" / name)], cwd=self.folder, text=True,
                              capture_output=True, env={**os.environ, "TENON": str(tenon), "LC_ALL": "C.UTF-8"})

    def test_tenon_catches_what_pytorch_does_not(self):
        table = [
            ("architecture_mismatch.py", ["<All keys matched successfully>", "through Classifier: 100 rows",
                                          "through PooledClassifier: 9 rows", "error[parameter_free_change]"]),
            ("precision_mismatch.py", ["torch.float32", "torch.float64", "20 of 20 weights", "[dtype_mismatch]"]),
            ("custom_layer.py", ["same outputs:   True", "[]", "same outputs:   False", "error[custom_layer_state]"]),
        ]
        for name, lines in table:
            with self.subTest(name):
                ran = self.run_example(name, TENON)
                self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
                for line in lines:
                    self.assertIn(line, ran.stdout)
                self.assertEqual(os.listdir(self.folder), [])

    def test_an_answer_that_all_is_well_is_exit_code_1(self):
        for name in ("architecture_mismatch.py", "precision_mismatch.py", "custom_layer.py"):
            with self.subTest(name):
                self.assertEqual(self.run_example(name, shutil.which("true")).returncode, 1)


def main():
    global TENON
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenon", required=True)
    options, rest = parser.parse_known_args()
    TENON = os.path.abspath(options.tenon)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
