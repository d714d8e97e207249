#!/usr/bin/env python3
"""TorchScript archives that PyTorch writes, and what tenon's blueprint of their code says of two of them.

Tables of changes without tensors that must be reported, and of equal models that must raise no alarm, each scripted and
traced; odd and hostile code; archives against blueprints of live modules.

Exits with 77 (CTest: skipped) where PyTorch is not installed.

usage: torchscript_test.py --tenon PATH [unittest arguments...]
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile

try:
    import torch
except ImportError as missing:
    print(f"SKIPPED: {sys.executable} has no PyTorch ({missing}); nothing was compared")
    sys.exit(77)

import torch.nn.functional as F
from torch import nn

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "python"))
import tenon_blueprint  # noqa: E402

TENON = None
warnings.simplefilter("ignore")


class Net(nn.Module):
    """Every part can be exchanged without touching a key or a shape."""

    def __init__(self, conv=None, norm=None, act=None, pool=None, drop=None, last=None):
        super().__init__()
        self.conv = conv or nn.Conv2d(3, 4, 3, padding=1)
        self.norm = norm or nn.BatchNorm2d(4)
        self.act = act or nn.ReLU()
        self.pool = pool or nn.MaxPool2d(2)
        self.drop = drop or nn.Dropout(0.5)
        self.head = nn.Linear(4, 5)
        self.last = last or nn.LayerNorm(5)

    def forward(self, x):
        x = self.drop(self.pool(self.act(self.norm(self.conv(x)))))
        return self.last(self.head(F.adaptive_avg_pool2d(x, 1).flatten(1)))


class Two(nn.Module):
    """Only `forward` differs. One class for each way: scripting compiles a class once."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)


class Plain(Two):
    def forward(self, x):
        return self.b(torch.relu(self.a(x))) * 2.0


class WithoutRelu(Two):
    def forward(self, x):
        return self.b(self.a(x)) * 2.0


class OtherFactor(Two):
    def forward(self, x):
        return self.b(torch.relu(self.a(x))) * 3.0


class OtherOrder(Two):
    def forward(self, x):
        return self.a(torch.relu(self.b(x))) * 2.0


class Skip(Two):
    def forward(self, x):
        return (self.b(torch.relu(self.a(x))) + x) * 2.0


class Sigmoid(Two):
    def forward(self, x):
        return self.b(torch.sigmoid(self.a(x))) * 2.0


class Looping(nn.Module):
    def __init__(self, rounds: int, limit: int):
        super().__init__()
        self.a, self.rounds, self.limit = nn.Linear(6, 6), rounds, limit

    def forward(self, x):
        for _ in range(self.rounds):
            x = torch.tanh(self.a(x))
        if x.size(0) > self.limit:
            x = x + 1
        return x


def made(make):
    torch.manual_seed(5)
    model = make().eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape) + 0.1)
    return model


IMAGE, ROW = (2, 3, 8, 8), (2, 6)

# name -> (what it becomes, the module that is named)
PARTS = {
    "stride": (lambda: Net(conv=nn.Conv2d(3, 4, 3, padding=1, stride=2)), "conv"),
    "padding": (lambda: Net(conv=nn.Conv2d(3, 4, 3)), "conv"),
    "dilation": (lambda: Net(conv=nn.Conv2d(3, 4, 3, padding=1, dilation=2)), "conv"),
    "eps": (lambda: Net(norm=nn.BatchNorm2d(4, eps=1e-3)), "norm"),
    "momentum": (lambda: Net(norm=nn.BatchNorm2d(4, momentum=0.3)), "norm"),
    "activation": (lambda: Net(act=nn.Tanh()), "act"),
    "slope": (lambda: Net(act=nn.LeakyReLU(0.2)), "act"),
    "pool_kind": (lambda: Net(pool=nn.AvgPool2d(2)), "pool"),
    "pool_window": (lambda: Net(pool=nn.MaxPool2d(3)), "pool"),
    "pool_stride": (lambda: Net(pool=nn.MaxPool2d(2, stride=1)), "pool"),
    "ceil_mode": (lambda: Net(pool=nn.MaxPool2d(2, ceil_mode=True)), "pool"),
    "dropout": (lambda: Net(drop=nn.Dropout(0.1)), "drop"),
    "layer_norm_eps": (lambda: Net(last=nn.LayerNorm(5, eps=1e-3)), "last"),
}
CODE = [WithoutRelu, OtherFactor, OtherOrder, Skip, Sigmoid]


class ArchiveTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def script(self, model, name, shape):
        path = self.folder / (name + ".pt")
        torch.jit.script(model).save(str(path))
        return path

    def trace(self, model, name, shape):
        path = self.folder / (name + ".pt")
        torch.jit.trace(model, torch.rand(*shape), check_trace=False).save(str(path))
        return path

    def tenon(self, *arguments, codes=(0, 1)):
        ran = subprocess.run([TENON, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        self.assertIn(ran.returncode, codes, f"tenon {arguments}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran

    def check(self, a, b):
        return json.loads(self.tenon("check", a, "--against", b, "--json").stdout)

    def blueprint(self, path):
        return json.loads(self.tenon("blueprint", path, "--json", codes=(0,)).stdout)


class Changes(ArchiveTest):
    def expect_change(self, before, after, module=None):
        document = self.check(before, after)
        causes = {cause["id"] for cause in document["causes"]}
        self.assertFalse(document["fits"])
        self.assertEqual(document["missing"] + document["unexpected"] + document["mismatched"], [])
        self.assertEqual(causes, {"parameter_free_change"})
        if module:
            self.assertIn(module, {row["module"] for row in document["architecture"]})
        return document["architecture"]

    def test_parts(self):
        for how in (self.script, self.trace):
            before = how(made(Net), "before", IMAGE)
            for name, (make, module) in PARTS.items():
                with self.subTest(name, how=how.__name__):
                    self.expect_change(before, how(made(make), "after", IMAGE), module)

    def test_code(self):
        for how in (self.script, self.trace):
            before = how(made(Plain), "before", ROW)
            for make in CODE:
                with self.subTest(make.__name__, how=how.__name__):
                    self.expect_change(before, how(made(make), "after", ROW))

    def test_loops_and_branches(self):
        before = self.script(made(lambda: Looping(3, 5)), "before", ROW)
        for name, make in (("rounds", lambda: Looping(4, 5)), ("condition", lambda: Looping(3, 6))):
            with self.subTest(name):
                self.expect_change(before, self.script(made(make), "after", ROW))

    def test_both_values_are_told(self):
        before, after = (self.trace(made(make), name, IMAGE) for make, name in (
            (Net, "before"), (PARTS["stride"][0], "after")))
        (row,) = self.expect_change(before, after)
        self.assertEqual((row["from"], row["to"]), ("Conv2d(stride=1)", "Conv2d(stride=2)"))

    def test_scripted_against_traced(self):
        scripted = self.script(made(Net), "before", IMAGE)
        for name, (make, module) in PARTS.items():
            if name not in ("momentum",):
                with self.subTest(name):
                    self.expect_change(scripted, self.trace(made(make), "after", IMAGE), module)

    def test_against_a_live_module(self):
        archive = self.script(made(Net), "archive", IMAGE)
        for name, (make, module) in PARTS.items():
            with self.subTest(name):
                live = tenon_blueprint.write(made(make), self.folder / "live")
                self.expect_change(archive, live, module)


class NoAlarm(ArchiveTest):
    def expect_equal(self, a, b, operations=True):
        document = self.check(a, b)
        self.assertEqual((document["fits"], document["architecture"], document["causes"]), (True, [], []), (a, b))
        self.assertEqual(document["proved"], "architecture")

    def test_the_same_model_saved_twice(self):
        """The second time other classes are compiled already, so that all names in the code are mangled otherwise."""
        for make, shape in ((Net, IMAGE), (Skip, ROW), (lambda: Net(act=nn.GELU()), IMAGE)):
            for how in (self.script, self.trace):
                with self.subTest(how=how.__name__):
                    self.expect_equal(how(made(make), "a", shape), how(made(make), "b", shape))

    def test_training_mode_of_a_scripted_model(self):
        self.expect_equal(self.script(made(Net), "a", IMAGE), self.script(made(Net).train(), "b", IMAGE))

    def test_batch_of_a_trace(self):
        self.expect_equal(self.trace(made(Net), "a", IMAGE), self.trace(made(Net), "b", (7, 3, 12, 12)))

    def test_saved_again_by_another_process(self):
        path = self.script(made(Net), "a", IMAGE)
        again = self.folder / "again.pt"
        torch.jit.load(str(path)).save(str(again))
        self.expect_equal(path, again)

    def test_scripted_and_traced(self):
        self.expect_equal(self.script(made(Net), "a", IMAGE), self.trace(made(Net), "b", IMAGE))

    def test_live(self):
        live = tenon_blueprint.write(made(Net), self.folder / "live", inputs=(torch.rand(*IMAGE),))
        for how in (self.script, self.trace):
            with self.subTest(how=how.__name__):
                self.expect_equal(how(made(Net), "a", IMAGE), live)

    def test_through_json(self):
        path = self.script(made(Net), "a", IMAGE)
        written = self.folder / "a.blueprint.json"
        written.write_text(self.tenon("blueprint", path, "--json").stdout)
        self.expect_equal(path, written)
        self.expect_equal(written, path)

    def test_counters_are_no_options(self):
        class Counting(nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.runs = nn.Linear(6, 6), 0

            def forward(self, x):
                self.runs = self.runs + 1
                return self.a(x)

        torch.manual_seed(0)
        first = torch.jit.script(Counting())
        first.save(str(self.folder / "a.pt"))
        first(torch.rand(*ROW))
        first.save(str(self.folder / "b.pt"))
        self.expect_equal(self.folder / "a.pt", self.folder / "b.pt")


class Told(ArchiveTest):
    def test_modules_options_roles(self):
        for how, source in ((self.script, "torchscript"), (self.trace, "torchscript_trace")):
            with self.subTest(source):
                document = self.blueprint(how(made(Net), "a", IMAGE))
                modules = {row["path"]: row for row in document["modules"]}
                self.assertEqual(document["source"], source)
                self.assertEqual(list(modules), ["", "conv", "norm", "act", "pool", "drop", "head", "last"])
                self.assertEqual([modules[path]["type"] for path in ("", "conv", "norm", "last")],
                                 ["Net", "Conv2d", "BatchNorm2d", "LayerNorm"])
                self.assertTrue(modules[""]["custom"])
                self.assertEqual(modules["norm"]["options"]["eps"], 1e-5)
                self.assertEqual(modules["drop"]["options"]["p"], 0.5)
                roles = {row["name"]: row["role"] for row in document["tensors"]}
                self.assertEqual((roles["norm.weight"], roles["norm.running_mean"]), ("parameter", "buffer"))

    def test_operations(self):
        for how in (self.script, self.trace):
            with self.subTest(how.__name__):
                graph = self.blueprint(how(made(Net), "a", IMAGE))["graph"]
                ops = [(node["op"], node["module"], node["parameters"]) for node in graph["nodes"]]
                self.assertEqual(ops, [
                    ("conv2d", "conv", ["conv.weight", "conv.bias"]),
                    ("batch_norm", "norm", ["norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]),
                    ("relu", "act", []), ("max_pool2d", "pool", []), ("dropout", "drop", []),
                    ("adaptive_avg_pool2d", "", []), ("flatten", "", []),
                    ("linear", "head", ["head.weight", "head.bias"]), ("layer_norm", "last", ["last.weight", "last.bias"])])
                self.assertEqual(graph["edges"], [[i, i + 1] for i in range(len(ops) - 1)])

    def test_many_models(self):
        """Nothing here is to be followed wholly; all of it is to be read, and equal to itself."""
        class Recurrent(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed, self.lstm = nn.Embedding(20, 8), nn.LSTM(8, 6, 2, batch_first=True)
                self.attention = nn.MultiheadAttention(6, 2)

            def forward(self, x):
                y, _ = self.lstm(self.embed(x))
                y, _ = self.attention(y, y, y)
                return y

        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2).eval()
        words = torch.randint(0, 20, (2, 5))
        models = {"recurrent": torch.jit.trace(Recurrent().eval(), words, check_trace=False),
                  "encoder_traced": torch.jit.trace(encoder, torch.rand(5, 2, 8), check_trace=False),
                  "encoder": torch.jit.script(encoder), "lstm": torch.jit.script(nn.LSTM(4, 4)),
                  "frozen": torch.jit.freeze(torch.jit.script(made(Net)))}
        for name, model in models.items():
            with self.subTest(name):
                path = self.folder / (name + ".pt")
                model.save(str(path))
                document = self.blueprint(path)
                self.assertGreater(len(document["graph"]["nodes"]), 3)
                if document["tensors"]:
                    self.assertTrue(self.check(path, path)["fits"])


class Adapt(ArchiveTest):
    def test_a_wrapped_checkpoint_becomes_the_archives_model(self):
        archive = self.script(made(Net), "archive", IMAGE)
        wrapped = self.folder / "wrapped.pth"
        torch.save({"state_dict": {"module." + name: tensor for name, tensor in made(Net).state_dict().items()}}, wrapped)
        out = self.folder / "out.safetensors"
        self.tenon("adapt", wrapped, "--to", archive, "-o", out, codes=(0,))
        self.assertEqual(self.blueprint(out)["source"], "torchscript")
        document = self.check(out, archive)
        self.assertEqual((document["fits"], document["proved"]), (True, "architecture"))


class OddCode(ArchiveTest):
    def rewritten(self, path, change, name="odd.pt"):
        """The archive with every file of its code changed by `change(name, text)`."""
        odd = self.folder / name
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(odd, "w") as out:
            for entry in source.infolist():
                data = source.read(entry)
                if entry.filename.endswith(".py"):
                    data = change(entry.filename, data.decode()).encode("utf-8", "surrogateescape")
                out.writestr(entry.filename, data)
        return odd

    def test_tensors_stay_readable(self):
        path = self.script(made(Net), "a", IMAGE)
        expected = json.loads(self.tenon("inspect", path, "--json").stdout)["tensors"]
        deep = "(" * 5000 + "x" + ")" * 5000
        changes = {
            "cut": lambda _, text: text[:len(text) // 2],
            "binary": lambda _, text: text.replace("return", "\\x00\\x01\\ufffd"),
            "deep": lambda _, text: text.replace("return ", "return " + deep + " + ", 1),
            "long": lambda _, text: text.replace("return ", "return " + "1 + " * 100_000, 1),
            "unclosed": lambda _, text: text.replace("(input", "((input"),
            "empty": lambda _, text: "def nothing():\n  pass\n",
            "no_end": lambda _, text: text + "\n  x = \"",
            "recursive": lambda _, text: re.sub(r"return .*", "return (self).forward(input, )", text),
            "doubling": lambda _, text: text.replace("    return ", "".join(
                f"    x{i + 1} = [x{i}, x{i}]\n" for i in range(60)).replace("x0", "input") + "    return ", 1),
            "rounds": lambda _, text: text.replace("    return ", "".join(
                "    " + "  " * i + "for i in range(64):\n" for i in range(20)) + "    " + "  " * 20
                + "z = torch.relu(input)\n    return ", 1),
        }
        for name, change in changes.items():
            with self.subTest(name):
                odd = self.rewritten(path, change)
                found = json.loads(self.tenon("inspect", odd, "--json", codes=(0,)).stdout)["tensors"]
                self.assertEqual([row["name"] for row in found], [row["name"] for row in expected])
                ran = self.tenon("blueprint", odd, "--json", codes=(0,))
                self.assertEqual(len(json.loads(ran.stdout)["tensors"]), len(expected))
                self.tenon("check", odd, "--against", path)

    def test_random_changes(self):
        import random
        generator = random.Random(3)
        path = self.trace(made(Net), "a", IMAGE)

        def change(_, text):
            characters = list(text)
            for _ in range(3):
                place = generator.randrange(len(characters))
                characters[place] = generator.choice("()[]{}=:.,\"'\n 0aé#\\-")
            return "".join(characters)

        for _ in range(40):
            odd = self.rewritten(path, change)
            self.tenon("blueprint", odd, "--json", codes=(0,))


def main():
    global TENON
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenon", required=True)
    options, rest = parser.parse_known_args()
    TENON = str(pathlib.Path(options.tenon).resolve())
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
