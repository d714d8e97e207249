#!/usr/bin/env python3
"""PyTorch writes, tenon converts, PyTorch reads with weights_only=True: every tensor comes back bit for bit.

torch.save (zip and legacy) -> tenon convert -> safetensors -> tenon convert -> PyTorch zip -> torch.load, and zip -> zip,
where nesting, integer keys, lists, objects and shared storages must come back, too.

Exits with 77 (CTest: skipped) where PyTorch is not installed.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import torch
except ImportError as missing:
    print(f"SKIPPED: {sys.executable} has no PyTorch ({missing}); nothing was compared")
    sys.exit(77)

TENON = None


def convert(source, target, *options):
    ran = subprocess.run([TENON, "convert", source, target, *options], capture_output=True, text=True)
    assert ran.returncode == 0, f"convert {source} {target}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}"


def load(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def raw(tensor):
    """The elements, row-major, as bytes: equal also for NaN, -0.0 and bools that are neither 0 nor 1."""
    return tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def flat(value, prefix=""):
    """name -> tensor, names joined with dots as tenon joins them."""
    if torch.is_tensor(value):
        return {prefix: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found = {}
    for key, item in pairs:
        found.update(flat(item, f"{prefix}.{key}" if prefix else str(key)))
    return found


def bits(dtype, shape):
    """A tensor of random bit patterns: NaNs with payloads, infinities and subnormals among them."""
    width = torch.empty((), dtype=dtype).element_size()
    count = 1
    for extent in shape:
        count *= extent
    patterns = torch.randint(0, 2 if dtype == torch.bool else 256, (count * width,), dtype=torch.uint8)
    return patterns.view(dtype).reshape(shape)


def dtypes():
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64".split()
    if int(torch.__version__.split(".")[0]) >= 2:
        names += ["float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"]
    return [getattr(torch, name) for name in names if hasattr(torch, name)]


def all_dtypes():
    state = {str(dtype)[6:]: bits(dtype, (3, 5)) for dtype in dtypes()}
    state["odd_bool"] = torch.tensor([0, 1, 2, 255], dtype=torch.uint8).view(torch.bool)
    return state


def views():
    base = torch.randn(6, 7)
    image = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    return {
        "base": base, "transposed": base.t(), "row": base[2], "column": base[:, 3], "every_other": base[::2, 1::3],
        "expanded": torch.randn(1, 4).expand(3, 4), "channels_last": image, "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3), "tail_of_large": torch.randn(100000)[-5:],
    }


def nested():
    weight = torch.nn.Parameter(torch.randn(4, 3))
    return {
        "model": {"weight": weight, "tied": weight, "list": [torch.randn(2), (torch.randn(3), torch.arange(4))]},
        "optimizer": {"state": {0: {"exp_avg": torch.randn(4, 3)}, 17: {"exp_avg": torch.zeros(2)}}},
        "epoch": 12, "name": "caf\u00e9 \"x\"\n", "flags": [True, None, -(2 ** 40), 2 ** 80, ("a", [])], "empty": {},
    }


def network(name):
    import torchvision

    torch.manual_seed(len(name))
    return getattr(torchvision.models, name)(weights=None).state_dict()


class TorchReadsWhatTenonWrites(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(20)
        self.folder = tempfile.TemporaryDirectory(prefix="tenon-interop-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def expect_same(self, wanted, found):
        wanted = flat(wanted)
        self.assertEqual(sorted(wanted), sorted(found))
        for name, tensor in wanted.items():
            other = found[name]
            self.assertEqual((tensor.dtype, tensor.shape), (other.dtype, other.shape), name)
            self.assertEqual(raw(tensor), raw(other), name)

    def round_trip(self, state, *options):
        for kind in ("zip", "legacy"):
            with self.subTest(kind):
                torch.save(state, self.path(kind + ".pt"), _use_new_zipfile_serialization=kind == "zip")
                convert(self.path(kind + ".pt"), self.path(kind + ".safetensors"), *options)
                convert(self.path(kind + ".safetensors"), self.path(kind + "_back.pt"))
                convert(self.path(kind + ".pt"), self.path(kind + "_direct.pt"), *options)
                self.expect_same(state, flat(load(self.path(kind + "_back.pt"))))
                self.expect_same(state, flat(load(self.path(kind + "_direct.pt"))))

    def test_every_dtype(self):
        self.round_trip(all_dtypes())

    def test_views(self):
        self.round_trip(views())

    def test_nested_and_shared(self):
        self.round_trip(nested(), "--drop-objects")

    def test_a_zip_keeps_nesting_objects_and_sharing(self):
        state = nested()
        torch.save(state, self.path("in.pt"))
        convert(self.path("in.pt"), self.path("out.pt"))
        found = load(self.path("out.pt"))
        self.assertEqual(list(found["optimizer"]["state"]), [0, 17])
        self.assertIsInstance(found["model"]["list"], list)
        self.assertIsInstance(found["model"]["list"][1], tuple)
        self.assertTrue(found["model"]["weight"].requires_grad)
        self.assertEqual(found["model"]["weight"].data_ptr(), found["model"]["tied"].data_ptr())
        for key in ("epoch", "name", "flags", "empty"):
            self.assertEqual(found[key], state[key])

    def test_views_of_one_storage_stay_views(self):
        torch.save(views(), self.path("in.pt"))
        convert(self.path("in.pt"), self.path("out.pt"))
        found = load(self.path("out.pt"))
        self.assertEqual(found["base"].t().data_ptr(), found["transposed"].data_ptr())
        self.assertEqual(found["transposed"].stride(), (1, 7))
        self.assertLess(os.path.getsize(self.path("out.pt")), 50000, "the tail of a large storage drags it along")

    def test_another_memory_layout_is_named_as_harmless(self):
        state = {"conv.weight": torch.randn(4, 3, 5, 5), "fc.weight": torch.randn(3, 4)}
        other = {"conv.weight": state["conv.weight"].contiguous(memory_format=torch.channels_last),
                 "fc.weight": state["fc.weight"].t().contiguous().t()}
        torch.save(state, self.path("plain.pt"))
        torch.save(other, self.path("other.pt"))
        note = "`conv.weight` and 1 more (row-major in {}, channels_last in {}); harmless"
        for command, sides in ((["check", self.path("plain.pt"), "--against", self.path("other.pt")],
                                ("the checkpoint", "the model")), (["diff", self.path("plain.pt"), self.path("other.pt")],
                                                                  ("A", "B"))):
            ran = subprocess.run([TENON, *command], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stdout)
            self.assertIn(note.format(*sides), " ".join(ran.stdout.split()))
        ran = subprocess.run([TENON, "convert", self.path("other.pt"), self.path("other.safetensors"), "--json"],
                             capture_output=True, text=True)
        rows = json.loads(ran.stdout)["layout_changes"]
        self.assertEqual([(row["key"], row["from"], row["to"], row["harmless"]) for row in rows],
                         [("conv.weight", "channels_last", "row-major", True), ("fc.weight", "permuted", "row-major", True)])

    def test_the_state_dict_loads_into_its_module(self):
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        torch.save(module.state_dict(), self.path("in.pt"))
        convert(self.path("in.pt"), self.path("out.pt"))
        module.load_state_dict(load(self.path("out.pt")), strict=True)


def add_network_test(name):
    def test(self):
        try:
            state = network(name)
        except ImportError as missing:
            self.skipTest(f"no torchvision ({missing}): {name} is NOT compared")
        self.round_trip(state)

    setattr(TorchReadsWhatTenonWrites, f"test_{name}", test)


for model in ("resnet18", "swin_t", "vit_b_16"):
    add_network_test(model)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenon", required=True)
    options, rest = parser.parse_known_args()
    TENON = options.tenon
    if not os.path.exists(TENON):
        sys.exit(f"{TENON} does not exist: build the command line first")
    print(f"PyTorch {torch.__version__}, {sys.executable}")
    unittest.main(argv=[sys.argv[0], *rest])
