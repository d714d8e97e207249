#!/usr/bin/env python3
"""Two listings of one network under two naming schemes, as large as asked for, and how long `tenon check` takes.

usage: many_names.py [--tenon PATH] [--tensors N] [--kind dense|experts|numbered] [--keep FOLDER]

  dense      layers of a transformer, q, k and v fused on one side
  experts    layers with 64 experts each
  numbered   one long row of numbered layers, no blocks
Prints seconds, peak memory and how many tensors found their origin.
"""
import argparse, json, os, pathlib, resource, subprocess, sys, tempfile, time


def tensor(name, *shape):
    return {"name": name, "dtype": "float32", "shape": list(shape)}


def dense(count):
    source, target = [tensor("tok_embeddings.weight", 32000, 64)], [tensor("model.embed_tokens.weight", 32000, 64)]
    for i in range(count // 9):
        a, b = f"layers.{i}.", f"model.layers.{i}."
        source += [tensor(a + "attention.wqkv.weight", 96, 64)]
        target += [tensor(b + "self_attn.q_proj.weight", 64, 64), tensor(b + "self_attn.k_proj.weight", 16, 64),
                   tensor(b + "self_attn.v_proj.weight", 16, 64)]
        for x, y, shape in [("attention.wo.weight", "self_attn.o_proj.weight", (64, 64)),
                            ("feed_forward.w1.weight", "mlp.gate_proj.weight", (160, 64)),
                            ("feed_forward.w3.weight", "mlp.up_proj.weight", (160, 64)),
                            ("feed_forward.w2.weight", "mlp.down_proj.weight", (64, 160)),
                            ("attention_norm.weight", "input_layernorm.weight", (64,)),
                            ("ffn_norm.weight", "post_attention_layernorm.weight", (64,))]:
            source.append(tensor(a + x, *shape))
            target.append(tensor(b + y, *shape))
    return source, target


def experts(count):
    source, target = [], []
    for i in range(count // 194):
        for name in ("attention_norm", "ffn_norm"):
            source.append(tensor(f"layers.{i}.{name}.weight", 64))
        for name in ("input_layernorm", "post_attention_layernorm"):
            target.append(tensor(f"model.layers.{i}.{name}.weight", 64))
        for e in range(64):
            for x, y, shape in (("w1", "gate_proj", (32, 64)), ("w2", "down_proj", (64, 32)), ("w3", "up_proj", (32, 64))):
                source.append(tensor(f"layers.{i}.moe.experts.{e}.{x}.weight", *shape))
                target.append(tensor(f"model.layers.{i}.mlp.experts.{e}.{y}.weight", *shape))
    return source, target


def numbered(count):
    rows = range(count // 2)
    return ([t for i in rows for t in (tensor(f"net.{i}.weight", 8, 16), tensor(f"net.{i}.bias", 8))],
            [t for i in rows for t in (tensor(f"layer_{i}.kernel", 16, 8), tensor(f"layer_{i}.bias", 8))])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tenon", default="build/release/tenon")
    p.add_argument("--tensors", type=int, default=100_000)
    p.add_argument("--kind", default="dense", choices=["dense", "experts", "numbered"])
    p.add_argument("--keep", default=None)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = a.keep or folder
        paths = []
        for name, tensors in zip(("source", "target"), {"dense": dense, "experts": experts, "numbered": numbered}[a.kind](a.tensors)):
            paths.append(os.path.join(folder, name + ".blueprint.json"))
            pathlib.Path(paths[-1]).write_text(json.dumps({"schema": "tenon.blueprint/1", "tensors": tensors}))
        began = time.monotonic()
        done = subprocess.run([a.tenon, "check", paths[0], "--against", paths[1], "--json"], capture_output=True)
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        if done.returncode not in (0, 1):
            print(done.stderr.decode()[-500:])
            return 1
        mapping = json.loads(done.stdout)["mapping"]
        print(f"{a.kind}: {len(tensors)} wanted tensors, {seconds:.2f} s, peak {peak:.0f} MB, {sum(m['apply'] for m in mapping)} applied")


if __name__ == "__main__":
    sys.exit(main())
