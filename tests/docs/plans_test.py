#!/usr/bin/env python3
"""Runs the examples of docs/plans.md: each operation on tensors of the shapes shown before must give those shown after.

usage: plans_test.py --tenon PATH

An example is a ```json block and a ```text block behind it. Every operation that tenon knows must have a ```json block.
"""
import argparse, json, pathlib, re, struct, subprocess, sys, tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
TENSOR = re.compile(r"([^\s,\]]+)(?: (\w+))? \[([\d, ]*)\]")


def tensors(line):
    return {name: (dtype or "float32", [int(n) for n in shape.split(",")]) for name, dtype, shape in TENSOR.findall(line)}


def count(shape):
    return 1 if not shape else shape[0] * count(shape[1:])


def write_safetensors(path, rows):
    header, at = {}, 0
    for name, (_, shape) in rows.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * count(shape)]}
        at += 4 * count(shape)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<f", 1.0) * (at // 4))


def write_target(path, rows):
    listed = [{"name": name, "dtype": dtype, "shape": shape} for name, (dtype, shape) in rows.items()]
    path.write_text(json.dumps({"schema": "tenon.blueprint/1", "tensors": listed}))


def run(tenon, *words):
    done = subprocess.run([tenon, *map(str, words), "--json"], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def problem(tenon, folder, operation, text):
    before, after = (tensors(line.split(":", 1)[1]) for line in text.strip().splitlines())
    write_safetensors(folder / "in.safetensors", before)
    target = folder / ("want.safetensors" if operation["op"] == "keep_target" else "want.blueprint.json")
    (write_safetensors if target.suffix == ".safetensors" else write_target)(target, after)
    (folder / "plan.json").write_text(json.dumps({"ops": [operation]}))
    code, answer = run(tenon, "adapt", folder / "in.safetensors", "--to", target, "--plan",
                       folder / "plan.json", "-o", folder / "out.safetensors", "--accept", "lossy", "--force")
    if code != 0:
        return f"exit {code}: {json.dumps(answer)}"
    _, listing = run(tenon, "inspect", folder / "out.safetensors")
    found = {t["name"]: (t["dtype"], t["shape"]) for t in listing["tensors"]}
    return None if found == after else f"gives {found}, not {after}"


def known_operations(tenon, folder):
    """The names that the program lists when it meets one it does not know."""
    write_safetensors(folder / "in.safetensors", {"a": ("float32", [1])})
    (folder / "plan.json").write_text('{"ops": [{"op": "no such"}]}')
    _, answer = run(tenon, "adapt", folder / "in.safetensors", "--to", folder / "in.safetensors", "--plan", folder / "plan.json", "--dry-run")
    return set(answer["error"]["expected"].split(", "))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tenon", required=True, type=pathlib.Path)
    tenon = str(p.parse_args().tenon.resolve())
    page = (REPO / "docs" / "plans.md").read_text()
    blocks = re.findall(r"```json\n(.*?)```\n(?:```text\n(.*?)```)?", page, re.S)
    failed, shown = 0, set()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for operation, text in blocks:
            operation = json.loads(operation)
            shown.add(operation["op"])
            found = problem(tenon, folder, operation, text) if text else None
            if found:
                failed += 1
                print(f"{json.dumps(operation)}: {found}")
        missing = known_operations(tenon, folder) - shown
    if missing:
        failed += 1
        print(f"no example of {sorted(missing)}")
    print(f"{len(blocks)} examples, {failed} wrong")
    return 1 if failed or not blocks else 0


if __name__ == "__main__":
    sys.exit(main())
