#!/usr/bin/env python3
"""torch.distributed.checkpoint writes, tenon reads: every tensor of the folder is the one that was saved, bit for bit.

One process, and two that share tensors by rows and by columns. Exits with 77 (CTest: skipped) where PyTorch has no
torch.distributed.checkpoint (before 2.0).

usage: dcp_test.py --tenon PATH
"""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
import warnings

try:
    import torch
    import torch.distributed.checkpoint as dcp
except Exception as missing:  # Debian's torch 1.13 has none, and its forerunner raises ValueError under Python 3.11
    print(f"SKIPPED: {sys.executable} has no torch.distributed.checkpoint ({missing}); nothing was compared")
    sys.exit(77)

TENON = None


def digest(tensor):
    raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def inspect(path):
    ran = subprocess.run([TENON, "inspect", path, "--json", "--digest"], capture_output=True, text=True)
    answer = json.loads(ran.stdout)
    assert ran.returncode == 0, answer.get("error")
    return answer


def full_state():
    torch.manual_seed(0)
    return {"rows": torch.randn(7, 5), "columns": torch.randn(4, 6, 3), "half": torch.randn(10).to(torch.bfloat16),
            "alike": torch.arange(6)}


def one_of_two(rank, folder, port):
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    full = full_state()
    state = {name: distribute_tensor(full[name], mesh, [Shard(axis)])
             for name, axis in (("rows", 0), ("columns", 1), ("half", 0))}
    dcp.save({"model": dict(state, alike=full["alike"]), "epoch": 3}, checkpoint_id=folder)
    dist.destroy_process_group()


class DcpTest(unittest.TestCase):
    def expect(self, folder, wanted):
        found = {row["name"]: row for row in inspect(folder)["tensors"]}
        self.assertEqual(set(found), set(wanted))
        for name, tensor in wanted.items():
            self.assertEqual(found[name]["shape"], list(tensor.shape), name)
            self.assertEqual(found[name]["digest"], digest(tensor), name)

    def test_one_process(self):
        state = {"a": torch.arange(12.0).reshape(3, 4), "flag": torch.tensor(True), "none": torch.empty(0, 3),
                 "nested": {"h": torch.ones(2, dtype=torch.float16)}, "step": 5, "name": "x"}
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.save(state, checkpoint_id=folder)
            self.expect(folder, {"a": state["a"], "flag": state["flag"], "none": state["none"],
                                 "nested.h": state["nested"]["h"]})
            objects = {row["name"]: row["value"] for row in inspect(folder)["objects"]}
            self.assertEqual(objects, {"step": 5, "name": "x"})

    def test_two_processes(self):
        import socket
        import torch.multiprocessing as multiprocessing

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with tempfile.TemporaryDirectory() as folder:
            multiprocessing.spawn(one_of_two, args=(folder, port), nprocs=2)
            self.expect(folder, {"model." + name: tensor for name, tensor in full_state().items()})
            out = os.path.join(folder, "whole.safetensors")
            ran = subprocess.run([TENON, "convert", folder, out, "--drop-objects"], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.expect(out, {"model." + name: tensor for name, tensor in full_state().items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    options, rest = parser.parse_known_args()
    TENON = os.path.abspath(options.tenon)
    unittest.main(argv=[sys.argv[0], *rest])
