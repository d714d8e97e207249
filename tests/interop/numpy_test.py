#!/usr/bin/env python3
"""What NumPy writes tenon reads, and what tenon writes NumPy reads: random arrays of every kind, the seed is printed.

usage: numpy_test.py --tenon PATH [--seed N]
"""
import argparse, hashlib, json, pathlib, random, subprocess, sys, tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: NumPy is not installed")
    sys.exit(77)

PLAIN = ["?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c8", "<c16"]


def run(tenon, *arguments, code=0):
    done = subprocess.run([tenon, *map(str, arguments), "--json"], capture_output=True, timeout=60)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def digest(array):
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return "sha256:" + hashlib.sha256(little.tobytes()).hexdigest()


def random_array(dice, dtype=None):
    shape = tuple(dice.choice((0, 1, 2, 3, 5)) for _ in range(dice.randrange(5)))
    dtype = np.dtype(dtype or dice.choice(PLAIN))
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    array = np.frombuffer(dice.randbytes(count), dtype="u1").copy()
    if dtype.kind == "b":
        array &= 1
    array = array.view(dtype).reshape(shape) if count else np.zeros(shape, dtype)
    return np.asfortranarray(array) if dice.random() < 0.3 else array


def row(name, array):
    return name, array.dtype.newbyteorder("=").name, list(array.shape), digest(array)


def rows(listing):
    return sorted((t["name"], t["dtype"], t["shape"], t["digest"]) for t in listing["tensors"])


def single_arrays(tenon, folder, dice):
    for version in ((1, 0), (2, 0), (3, 0)):
        for dtype in PLAIN:
            array = random_array(dice, dtype)
            with open(folder / "a.npy", "wb") as out:
                np.lib.format.write_array(out, array, version=version)
            assert rows(run(tenon, "inspect", folder / "a.npy", "--digest")) == [row("", array)], (dtype, array.shape)


def archives(tenon, folder, dice):
    for save in (np.savez, np.savez_compressed):
        for _ in range(5):
            arrays = {f"layer{i}/{i}.w": random_array(dice) for i in range(dice.randrange(1, 9))}
            arrays["one"] = np.ones(1, "<f4")  # archives in which no array has an element are not written
            save(folder / "a.npz", **arrays)
            wanted = sorted(row(name, array) for name, array in arrays.items())
            assert rows(run(tenon, "inspect", folder / "a.npz", "--digest")) == wanted
            has_c16 = any(array.dtype == "c16" for array in arrays.values())  # which safetensors does not have
            for suffix in ("npz", "pt") if has_c16 else ("npz", "pt", "safetensors"):
                run(tenon, "convert", folder / "a.npz", folder / f"b.{suffix}", "--force")
                assert rows(run(tenon, "inspect", folder / f"b.{suffix}", "--digest")) == wanted, suffix
            back = np.load(folder / "b.npz")
            assert sorted(back.files) == sorted(arrays)
            for name, array in arrays.items():
                assert back[name].dtype == array.dtype.newbyteorder("<") and back[name].shape == array.shape
                assert digest(back[name]) == digest(array), name


def structured_arrays(tenon, folder, dice):
    for aligned in (False, True):
        fields = [("a", dice.choice(PLAIN)), ("b", [("c", dice.choice(PLAIN), (2,)), ("d", "<f4")]), ("e", "<U3"), ("f", ">i4", (2, 3))]
        dtype = np.dtype(fields, align=aligned)
        array = np.frombuffer(bytes(i % 2 for i in range(6 * dtype.itemsize)), dtype=dtype).reshape(2, 3)
        np.save(folder / "s.npy", array)
        got = {t["name"]: t for t in run(tenon, "inspect", folder / "s.npy", "--digest")["tensors"]}
        assert set(got) == {"a", "b.c", "b.d", "e", "f"}
        assert got["e"]["dtype"] == "string" and got["e"]["digest"] is None
        for name, values in (("a", array["a"]), ("b.c", array["b"]["c"]), ("b.d", array["b"]["d"]), ("f", array["f"])):
            if got[name]["dtype"] == "uint8" and values.dtype.itemsize > 1:  # steps that are no multiple of the width
                raw = np.ascontiguousarray(values)
                assert got[name]["digest"] == "sha256:" + hashlib.sha256(raw.tobytes()).hexdigest(), name
            else:
                assert (got[name]["dtype"], got[name]["shape"], got[name]["digest"]) == row(name, values)[1:], name


def objects(tenon, folder, dice):
    weight, bias = random_array(dice, "<f4"), random_array(dice, ">f8")
    np.save(folder / "o.npy", {"net": {"weight": weight, "bias": bias}, "epoch": 3}, allow_pickle=True)
    assert rows(run(tenon, "inspect", folder / "o.npy", "--digest")) == sorted([row("net.weight", weight), row("net.bias", bias)])
    several = np.empty(2, dtype=object)
    several[0], several[1] = weight, {"x": bias}
    np.savez(folder / "o.npz", many=several, plain=weight)
    wanted = sorted([row("many.0", weight), row("many.1.x", bias), row("plain", weight)])
    assert rows(run(tenon, "inspect", folder / "o.npz", "--digest")) == wanted


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--tenon", required=True)
    p.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    a = p.parse_args()
    print("seed", a.seed)
    dice = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as folder:
        for part in (single_arrays, archives, structured_arrays, objects):
            part(a.tenon, pathlib.Path(folder), dice)
            print(part.__name__, "ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
