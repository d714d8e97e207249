#!/usr/bin/env python3
"""Operations of plans against PyTorch: PyTorch writes, `tenon adapt` carries a plan out, PyTorch reads and compares.

usage: plan_ops_test.py --tenon PATH [unittest options]

Exits with 77 (CTest: skipped) where PyTorch is not installed.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print(f"SKIPPED: {sys.executable} has no PyTorch ({missing}); nothing was compared")
    sys.exit(77)

TENON = None


class PlanOps(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_adapt(self, checkpoint, target, ops, *options, out="out.pt"):
        """Exit code and JSON answer."""
        torch.save(checkpoint, self.path("in.pt"))
        torch.save(target, self.path("target.pt"))
        with open(self.path("plan.json"), "w") as file:
            json.dump({"ops": ops}, file)
        ran = subprocess.run([TENON, "adapt", self.path("in.pt"), "--to", self.path("target.pt"), "--plan", self.path("plan.json"),
                              "-o", self.path(out), "--force", "--json", *options], capture_output=True, text=True)
        self.assertEqual(ran.stderr.count("Traceback"), 0)
        return ran.returncode, json.loads(ran.stdout)

    def adapt(self, checkpoint, want, *ops, options=("--accept", "lossy")):
        """The result of the plan; `want` gives the names and shapes of the target. Its values are not what is compared
        here: they are zeros in the target."""
        target = {name: torch.zeros_like(value) for name, value in want.items()}
        code, answer = self.run_adapt(checkpoint, target, list(ops), *options)
        self.assertEqual(code, 0, answer)
        self.assertEqual(answer["filled_from_target"], [])
        return torch.load(self.path("out.pt"))

    def same_bits(self, found, want):
        self.assertEqual(set(found), set(want))
        for name, value in want.items():
            self.assertEqual(found[name].dtype, value.dtype, name)
            self.assertTrue(torch.equal(found[name], value.contiguous()), name)

    def near(self, found, want, tolerance=1e-6):
        self.assertEqual(set(found), set(want))
        for name, value in want.items():
            self.assertEqual(found[name].dtype, value.dtype, name)
            self.assertEqual(found[name].shape, value.shape, name)
            self.assertLessEqual((found[name].double() - value.double()).abs().max().item(), tolerance, name)

    def test_layout_of_all_dtypes(self):
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool, torch.complex64):
            w = torch.randn(6, 4, 2, 3).mul(9).to(dtype)
            want = {"w": w.permute(2, 3, 1, 0).contiguous()}
            self.same_bits(self.adapt({"w": w}, want, {"op": "transpose", "pattern": "w", "dims": [2, 3, 1, 0]}), want)

    def test_views_and_shared_storages(self):
        base = torch.randn(8, 6)
        checkpoint = {"a": base.t()[1:5], "b": base[:, ::2]}
        want = {"a": base.t()[1:5].t().contiguous(), "b": base[:, ::2].t().contiguous()}
        self.same_bits(self.adapt(checkpoint, want, {"op": "transpose", "pattern": "?", "dims": [1, 0]}), want)

    def test_squeeze_and_reshape(self):
        checkpoint = {"a.w": torch.randn(8, 4, 1, 1), "b.w": torch.randn(2, 8, 1, 1)}
        want = {name: value.flatten(1) for name, value in checkpoint.items()}
        self.same_bits(self.adapt(checkpoint, want, {"op": "reshape", "pattern": "*.w", "shape": [0, 0]}), want)

    def qkv(self, heads=4, size=8, inner=16):
        return [torch.randn(heads * size, inner).half() for _ in range(3)]

    def test_split_of_every_order(self):
        q, k, v = self.qkv()
        want = {"q": q, "k": k, "v": v}
        split = {"op": "split", "from": "w", "to": ["q", "k", "v"], "dim": 0}
        self.same_bits(self.adapt({"w": torch.cat([q, k, v])}, want, split), want)
        self.same_bits(self.adapt({"w": torch.cat([k, v, q])}, want, {**split, "to": ["k", "v", "q"]}), want)
        heads = torch.stack([part.view(4, 8, 16) for part in (q, k, v)], dim=1)  # [heads, 3, size, inner]: NeoX, BLOOM
        self.same_bits(self.adapt({"w": heads.reshape(96, 16)}, want, {**split, "groups": 4}), want)
        fine = torch.stack([part.view(32, 16) for part in (q, k, v)], dim=1)  # [heads, size, 3, inner]: Megatron 1
        self.same_bits(self.adapt({"w": fine.reshape(96, 16)}, want, {**split, "groups": 32}), want)
        self.same_bits(self.adapt({"w": torch.cat([q, k, v]).t()}, {n: t.t() for n, t in want.items()}, {**split, "dim": 1}),
                       {n: t.t() for n, t in want.items()})

    def test_grouped_queries_there_and_back(self):
        q, k, v = torch.randn(8 * 4, 5), torch.randn(2 * 4, 5), torch.randn(2 * 4, 5)  # 8 query heads, 2 key-value heads
        fused = torch.cat([q.view(2, 16, 5), k.view(2, 4, 5), v.view(2, 4, 5)], dim=1).reshape(48, 5)
        split = {"op": "split", "from": "wqkv", "to": ["q", "k", "v"], "dim": 0, "sizes": [32, 8, 8], "groups": 2}
        self.same_bits(self.adapt({"wqkv": fused}, {"q": q, "k": k, "v": v}, split), {"q": q, "k": k, "v": v})
        fuse = {"op": "fuse", "from": ["q", "k", "v"], "to": "wqkv", "dim": 0, "groups": 2}
        self.same_bits(self.adapt({"q": q, "k": k, "v": v}, {"wqkv": fused}, fuse), {"wqkv": fused})

    def test_rotary_rows(self):
        """transformers, convert_llama_weights_to_hf.py: permute."""
        heads, dim = 4, 32
        w = torch.randn(dim, dim).bfloat16()
        hf = w.view(heads, dim // heads // 2, 2, dim).transpose(1, 2).reshape(dim, dim)
        there = {"op": "reorder", "pattern": "q", "dim": 0, "view": [heads, -1, 2], "dims": [0, 2, 1]}
        back = {"op": "reorder", "pattern": "q", "dim": 0, "view": [heads, 2, -1], "dims": [0, 2, 1]}
        self.same_bits(self.adapt({"q": w}, {"q": hf}, there), {"q": hf})
        self.same_bits(self.adapt({"q": hf}, {"q": w}, back), {"q": w})

    def test_linear_behind_a_flattened_picture(self):
        """A layer trained on [rows, columns, channels] gives the same outputs for [channels, rows, columns]."""
        picture = torch.randn(2, 3, 5, 4)  # n, c, h, w
        fc = torch.nn.Linear(60, 7)
        want = fc(picture.permute(0, 2, 3, 1).flatten(1))
        op = {"op": "reorder", "pattern": "weight", "dim": 1, "view": [5, 4, 3], "dims": [2, 0, 1]}
        fc.load_state_dict(self.adapt(fc.state_dict(), fc.state_dict(), op))
        self.assertTrue(torch.allclose(fc(picture.flatten(1)), want, atol=1e-6))

    def interpolated(self, table, grid, mode):
        """[g*g, channels] -> [grid*grid, channels]"""
        side = math.isqrt(table.shape[0])
        picture = table.t().reshape(1, table.shape[1], side, side)
        options = {} if mode == "nearest" else {"align_corners": False}
        return F.interpolate(picture, size=(grid, grid), mode=mode, **options)[0].flatten(1).t()

    def test_position_tables(self):
        for tokens in (0, 1, 2):
            for old, new in ((7, 12), (14, 24), (16, 9), (1, 3), (5, 5 + 1)):
                for mode in ("bicubic", "bilinear", "nearest"):
                    table = torch.randn(tokens + old * old, 6, dtype=torch.float64)
                    want = torch.cat([table[:tokens], self.interpolated(table[tokens:], new, mode)])[None]
                    op = {"op": "resize", "pattern": "pos", "shape": [0, tokens + new * new, 0], "mode": mode}
                    found = self.adapt({"pos": table[None]}, {"pos": want}, op)
                    self.near(found, {"pos": want})
                    self.assertTrue(torch.equal(found["pos"][0, :tokens], table[:tokens]))

    def test_position_tables_of_lower_precision(self):
        table = torch.randn(1 + 49, 6)
        want = torch.cat([table[:1], self.interpolated(table[1:].double(), 12, "bicubic").float()])
        op = {"op": "resize", "pattern": "pos", "shape": [145, 6], "mode": "bicubic"}
        self.near(self.adapt({"pos": table}, {"pos": want}, op), {"pos": want}, 1e-6)
        self.near(self.adapt({"pos": table.half()}, {"pos": want.half()}, op), {"pos": want.half()}, 4e-3)

    def test_relative_position_biases(self):
        for old, new in ((7, 8), (8, 12), (12, 7)):
            a, b = (2 * old - 1) ** 2, (2 * new - 1) ** 2
            table = torch.randn(a, 4, dtype=torch.float64)
            want = self.interpolated(table, 2 * new - 1, "bicubic")
            op = {"op": "resize", "pattern": "t", "shape": [b, 0], "mode": "bicubic"}
            self.near(self.adapt({"t": table}, {"t": want}, op), {"t": want})
            special = torch.randn(3, 4, dtype=torch.float64)  # BEiT: three rows at the end for the class token
            want = torch.cat([want, special])
            self.near(self.adapt({"t": torch.cat([table, special])}, {"t": want}, {**op, "shape": [b + 3, 0]}), {"t": want})

    def test_grids_that_are_not_square_and_kernels(self):
        table = torch.randn(1 + 12 * 4, 5, dtype=torch.float64)
        picture = table[1:].t().reshape(1, 5, 12, 4)
        want = torch.cat([table[:1], F.interpolate(picture, size=(6, 10), mode="bicubic", align_corners=False)[0].flatten(1).t()])
        op = {"op": "resize", "pattern": "pos", "shape": [61, 5], "tokens": 1, "from_grid": [12, 4], "to_grid": [6, 10]}
        self.near(self.adapt({"pos": table}, {"pos": want}, op), {"pos": want})
        kernel = torch.randn(4, 3, 14, 14, dtype=torch.float64)
        want = F.interpolate(kernel, size=(16, 8), mode="bicubic", align_corners=False)
        self.near(self.adapt({"k": kernel}, {"k": want}, {"op": "resize", "pattern": "k", "shape": [0, 0, 16, 8]}), {"k": want})
        rows = torch.randn(27, 8, dtype=torch.float64)  # SAM's relative positions: one axis
        want = F.interpolate(rows.t()[None], size=13, mode="linear", align_corners=False)[0].t()
        self.near(self.adapt({"r": rows}, {"r": want}, {"op": "resize", "pattern": "r", "shape": [13, 0], "mode": "linear"}), {"r": want})

    def test_vocabulary_rows(self):
        table, own = torch.randn(10, 4), torch.randn(13, 4)
        op = {"op": "resize_rows", "pattern": "e", "rows": 13}
        code, answer = self.run_adapt({"e": table}, {"e": own}, [op], "--accept", "lossy")
        self.assertEqual(code, 0, answer)
        self.assertIn("taken from the target", " ".join(answer["notes"]))
        self.same_bits(torch.load(self.path("out.pt")), {"e": torch.cat([table, own[10:]])})
        found = self.adapt({"e": table}, {"e": own}, {**op, "fill": "mean"})["e"]
        self.assertTrue(torch.equal(found[:10], table))
        self.assertTrue(torch.allclose(found[10:], table.mean(0).expand(3, 4), atol=1e-6))

    def test_input_channels(self):
        """timm, models/_manipulate.py: adapt_input_conv."""
        weight = torch.randn(8, 3, 5, 5)
        want = {"s": weight.sum(1, keepdim=True)}
        self.near(self.adapt({"s": weight}, want, {"op": "inflate_channels", "pattern": "s", "channels": 1}), want, 1e-5)
        for channels in (2, 4, 9):
            want = {"s": weight.repeat(1, math.ceil(channels / 3), 1, 1)[:, :channels] * (3 / channels)}
            self.near(self.adapt({"s": weight}, want, {"op": "inflate_channels", "pattern": "s", "channels": channels}), want)
        grey = torch.randn(8, 1, 5, 5)
        picture = torch.randn(1, 1, 9, 9)
        found = self.adapt({"s": grey}, {"s": weight}, {"op": "inflate_channels", "pattern": "s", "channels": 3})["s"]
        self.assertTrue(torch.allclose(F.conv2d(picture.expand(1, 3, 9, 9), found), F.conv2d(picture, grey), atol=1e-5))
        stem = torch.randn(4, 12, 3, 3)
        want = {"s": stem.reshape(4, 4, 3, 3, 3).sum(2)}
        self.near(self.adapt({"s": stem}, want, {"op": "inflate_channels", "pattern": "s", "channels": 1}), want, 1e-5)

    def test_quantised_tensors(self):
        x = torch.randn(6, 4)
        scales = torch.rand(6, dtype=torch.float64) * 0.05 + 0.01
        for q in (torch.quantize_per_tensor(x, 0.03, 7, torch.quint8), torch.quantize_per_tensor(x, 0.02, -3, torch.qint8),
                  torch.quantize_per_tensor(x, 0.001, 0, torch.qint32),
                  torch.quantize_per_channel(x, scales, torch.arange(6), 0, torch.qint8),
                  torch.quantize_per_channel(x, scales[:4], torch.arange(4), 1, torch.quint8)):
            want = {"w": q.dequantize()}
            self.near(self.adapt({"w": q}, want, {"op": "dequantize", "pattern": "w"}), want)

    def lora(self, out, inner, rank, *kernel):
        return torch.randn(rank, inner, *kernel), torch.randn(out, rank, *(1 for _ in kernel))

    def write_config(self, **members):
        with open(self.path("adapter_config.json"), "w") as file:
            json.dump(members, file)

    def test_lora_of_peft(self):
        """An adapter's file alone, merged into the target's weights, with the scale of its configuration."""
        base, other = torch.randn(6, 5), torch.randn(7, 5)
        a, b = self.lora(6, 5, 2)
        c, d = self.lora(7, 5, 4)
        prefix = "base_model.model."
        adapter = {prefix + "q.lora_A.weight": a, prefix + "q.lora_B.weight": b, prefix + "v.lora_A.weight": c, prefix + "v.lora_B.weight": d}
        op = {"op": "merge_lora", "down": r"base_model\.model\.(.*)\.lora_A\.weight", "up": r"base_model\.model\.(.*)\.lora_B\.weight",
              "to": "$1.weight"}
        model = {"q.weight": base, "v.weight": other}
        code, answer = self.run_adapt(adapter, model, [op], "--accept", "lossy")
        self.assertEqual(code, 2, answer)  # nothing tells the scale
        self.assertFalse(os.path.exists(self.path("out.pt")))
        self.write_config(lora_alpha=16, r=2, alpha_pattern={"v": 3})
        code, answer = self.run_adapt(adapter, model, [op], "--accept", "lossy")
        self.assertEqual(code, 0, answer)
        self.near(torch.load(self.path("out.pt")), {"q.weight": base + 8 * b @ a, "v.weight": other + 0.75 * d @ c}, 1e-4)
        self.write_config(lora_alpha=16, r=2, use_rslora=True)
        self.run_adapt(adapter, model, [op], "--accept", "lossy")
        self.near(torch.load(self.path("out.pt")), {"q.weight": base + 16 / 2**0.5 * b @ a, "v.weight": other + 8 * d @ c}, 1e-4)

    def test_lora_within_the_model(self):
        base = torch.randn(6, 5).bfloat16()
        a, b = self.lora(6, 5, 2)
        checkpoint = {"q.base_layer.weight": base, "q.lora_A.default.weight": a, "q.lora_B.default.weight": b}
        want = {"q.weight": (base.double() + 0.25 * (b.double() @ a.double())).bfloat16()}
        op = {"op": "merge_lora", "down": r"(.*)\.lora_A\.default\.weight", "up": r"(.*)\.lora_B\.default\.weight",
              "base": "$1.base_layer.weight", "to": "$1.weight", "scale": 0.25}
        self.near(self.adapt(checkpoint, want, op), want, 0.02)
        turned = {"q.weight": (base.double() + 0.25 * (b.double() @ a.double())).t().contiguous().bfloat16()}
        checkpoint["q.base_layer.weight"] = base.t().contiguous()
        self.near(self.adapt(checkpoint, turned, {**op, "fan_in_fan_out": True}), turned, 0.02)

    def test_lora_of_convolutions(self):
        a, b = self.lora(6, 5, 2, 3, 3)
        base, alpha = torch.randn(6, 5, 3, 3), torch.tensor(4.0)
        x = torch.randn(1, 5, 8, 8)
        want = F.conv2d(x, base) + 2 * F.conv2d(F.conv2d(x, a), b)
        checkpoint = {"c.weight": base, "c.down": a, "c.up": b, "c.alpha": alpha}
        op = {"op": "merge_lora", "down": r"(.*)\.down", "up": r"(.*)\.up", "to": "$1.weight", "alpha": "$1.alpha"}
        found = self.adapt(checkpoint, {"c.weight": base}, op)["c.weight"]
        self.assertTrue(torch.allclose(F.conv2d(x, found), want, atol=1e-3))

    def test_batch_norms(self):
        for conv, dim, bias in ((torch.nn.Conv2d(3, 4, 3), 0, True), (torch.nn.Conv2d(3, 4, 3, bias=False), 0, False),
                                (torch.nn.ConvTranspose2d(3, 4, 3), 1, True)):
            model = torch.nn.Sequential(conv, torch.nn.BatchNorm2d(4))
            for _ in range(3):
                model(torch.randn(8, 3, 9, 9) * 2 + 1)
            model[1].weight.data.uniform_(0.5, 2)
            model.eval()
            x = torch.randn(2, 3, 9, 9)
            op = {"op": "fold_batch_norm", "conv": "0", "norm": "1", "eps": 1e-5, "dim": dim}
            want = {"0.weight": conv.weight.detach(), "0.bias": torch.zeros(4)}
            found = self.adapt(model.state_dict(), want, op)
            run = F.conv_transpose2d if dim else F.conv2d
            self.assertTrue(torch.allclose(run(x, found["0.weight"], found["0.bias"]), model(x), atol=1e-5))

    def test_weight_norms(self):
        for dim in (0, 1, None):
            layer = torch.nn.utils.weight_norm(torch.nn.Conv1d(3, 4, 5), dim=dim)
            layer.weight_g.data.mul_(1.7)
            layer(torch.randn(1, 3, 7))
            want = {"weight": layer.weight.detach(), "bias": layer.bias.detach()}
            op = {"op": "fold_weight_norm", "g": "weight_g", "v": "weight_v", "to": "weight"}
            self.near(self.adapt(layer.state_dict(), want, op), want, 1e-6)
        plain = torch.nn.Conv1d(3, 4, 5)
        normed = torch.nn.utils.weight_norm(torch.nn.Conv1d(3, 4, 5))
        op = {"op": "unfold_weight_norm", "from": "weight", "g": "weight_g", "v": "weight_v"}
        normed.load_state_dict(self.adapt(plain.state_dict(), normed.state_dict(), op))
        x = torch.randn(1, 3, 7)
        self.assertTrue(torch.allclose(normed(x), plain(x), atol=1e-6))

    def test_casts_report_their_loss(self):
        w = torch.tensor([1.0, 0.1, 70000.0, 1e-9])
        code, answer = self.run_adapt({"w": w}, {"w": w.half()}, [{"op": "cast", "pattern": "w", "dtype": "float16", "applicability": "lossy"}],
                                      "--accept", "lossy")
        self.assertEqual(code, 0, answer)
        row = answer["dtype_changes"][0]
        self.assertEqual((row["key"], row["values"], row["changed"], row["overflow"], row["underflow"]), ("w", 4, 3, 1, 1))
        self.assertTrue(torch.equal(torch.load(self.path("out.pt"))["w"], w.half()))
        os.remove(self.path("out.pt"))
        code, answer = self.run_adapt({"w": w}, {"w": w.half()}, [{"op": "cast", "pattern": "w", "dtype": "float16", "applicability": "exact"}])
        self.assertNotEqual(code, 0, answer)
        self.assertFalse(os.path.exists(self.path("out.pt")))

    def test_what_is_not_accepted_is_not_done(self):
        op = {"op": "resize_rows", "pattern": "e", "rows": 3}
        code, _ = self.run_adapt({"e": torch.ones(2, 2)}, {"e": torch.zeros(3, 2)}, [op])
        self.assertNotEqual(code, 0)
        code, answer = self.run_adapt({"e": torch.ones(2, 2)}, {"e": torch.zeros(3, 2)}, [{**op, "applicability": "exact"}])
        self.assertEqual((code, answer["error"]["key"]), (2, "ops[0].applicability"))
        guess = {"op": "rename", "from": "a", "to": "b", "applicability": "guess"}
        self.assertNotEqual(self.run_adapt({"a": torch.ones(2)}, {"b": torch.zeros(2)}, [guess])[0], 0)
        self.assertEqual(self.run_adapt({"a": torch.ones(2)}, {"b": torch.zeros(2)}, [guess], "--accept", "guess")[0], 0)

    def test_the_way_back(self):
        heads = 4
        old = {f"transformer.h.{i}.attn.{kind}": torch.randn(48, 16).half() if kind == "qkv.weight" else torch.randn(48).half()
               for i in range(3) for kind in ("qkv.weight", "qkv.bias")}
        old["transformer.wte"] = torch.randn(9, 16)
        ops = [{"op": "strip_prefix", "prefix": "transformer."},
               {"op": "split", "from": r"h\.(\d+)\.attn\.qkv\.(.*)", "to": ["l.$1.q.$2", "l.$1.k.$2", "l.$1.v.$2"], "dim": 0, "groups": heads, "regex": True},
               {"op": "reorder", "pattern": "l.*.[qk].weight".replace("[qk]", "q"), "dim": 0, "view": [heads, -1, 2], "dims": [0, 2, 1]},
               {"op": "transpose", "pattern": "l.*.weight", "dims": [1, 0]},
               {"op": "reshape", "pattern": "wte", "shape": [0, 4, 4]}]
        names = {f"l.{i}.{part}.{leaf}": torch.zeros((16, 16) if leaf == "weight" else (16,)).half()
                 for i in range(3) for part in "qkv" for leaf in ("weight", "bias")}
        names["wte"] = torch.zeros(9, 4, 4)
        code, answer = self.run_adapt(old, names, ops, out="new.pt")
        self.assertEqual(code, 0, answer)
        ran = subprocess.run([TENON, "adapt", self.path("new.pt"), "--to", self.path("in.pt"), "--plan", self.path("plan.json"),
                              "--inverse", "-o", self.path("back.pt"), "--json", "--emit-plan", self.path("inverse.json")],
                             capture_output=True, text=True)
        answer = json.loads(ran.stdout)
        self.assertEqual(ran.returncode, 0, answer)
        self.assertEqual(answer["filled_from_target"], [])
        self.assertEqual(len(answer["plan"]["ops"]), len(ops), answer["plan"])
        self.same_bits(torch.load(self.path("back.pt")), old)
        ran = subprocess.run([TENON, "adapt", self.path("new.pt"), "--to", self.path("in.pt"), "--plan", self.path("inverse.json"), "-o",
                              self.path("again.pt")], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_what_has_no_way_back(self):
        torch.save({"a": torch.ones(2), "b": torch.ones(2)}, self.path("old.pt"))
        torch.save({"a": torch.ones(2)}, self.path("new.pt"))
        with open(self.path("plan.json"), "w") as file:
            json.dump({"ops": [{"op": "drop", "pattern": "b"}]}, file)
        ran = subprocess.run([TENON, "adapt", self.path("new.pt"), "--to", self.path("old.pt"), "--plan", self.path("plan.json"), "--inverse",
                              "-o", self.path("back.pt"), "--json"], capture_output=True, text=True)
        self.assertIn(ran.returncode, (2, 3))
        self.assertIn("drop", json.loads(ran.stdout)["error"]["key"])
        self.assertFalse(os.path.exists(self.path("back.pt")))


def main():
    global TENON
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    options, rest = parser.parse_known_args()
    TENON = os.path.abspath(options.tenon)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
