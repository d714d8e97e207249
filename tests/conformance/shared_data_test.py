#!/usr/bin/env python3
"""Compares `tenon inspect --json --digest` with the expected listings of a folder of checkpoints, where one is at hand.

usage: shared_data_test.py --tenon PATH [--data FOLDER] [--show N]

FOLDER holds manifest.jsonl and expected listings beside generated and fetched files. Without it the test is skipped, and says so.
Formats that tenon does not read yet are counted and left out.
"""
import argparse, json, os, pathlib, re, subprocess, sys

LATER = ("hdf5", "keras", "msgpack", "tf_bundle")  # named and refused


def listing(tenon, path):
    done = subprocess.run([tenon, "inspect", str(path), "--json", "--digest"], capture_output=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        return done.returncode, None


def differences(expected, partial, got):
    """What is wrong with a listing, as short texts."""
    if got is None:
        return ["no JSON"]
    found = {}
    for tensor in got.get("tensors", []):
        found.setdefault(tensor["name"], []).append(tensor)
    wrong = []
    for want in expected:
        candidates = found.get(want["name"], [])
        digest = None if want.get("meta") or "sha256" not in want else "sha256:" + want["sha256"]
        match = [t for t in candidates if t["dtype"] == want["dtype"] and t["shape"] == want["shape"] and t["digest"] == digest]
        if match:
            candidates.remove(match[0])
        else:
            wrong.append(f"{want['name'][:60]!r}: {'differs' if candidates else 'missing'}")
    extra = [name for name, rest in found.items() if rest]
    if extra and not partial:
        wrong.append(f"unexpected: {extra[:3]}")
    return wrong


def cases(data):
    """(path, expectation, tensors, partial) of every entry that tenon reads."""
    for folder in ("torch", "libtorch", "other"):
        for name, entry in json.loads((data / "generated" / folder / "expected.json").read_text())["files"].items():
            if folder == "other" and re.split("[/_]", name)[0] in LATER:
                continue
            # The generated models share one Constant node, whose value may be listed, too, as the first of them says.
            partial = entry.get("partial", False) or name.startswith("onnx/")
            yield data / "generated" / folder / name, entry["expect"], entry.get("tensors"), partial
    for line in (data / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["origin"] == "fetched" and entry["format"] not in LATER and entry.get("expected"):
            expected = json.loads((data / entry["expected"]).read_text())
            yield data / entry["file"], "ok", expected["tensors"], False


def kind_of(parts):
    """The folder that names the format: `onnx`, `generated/other/onnx`."""
    return "/".join(parts[:3] if parts[:2] == ("generated", "other") else parts[:2] if parts[0] == "generated" else parts[:1])


def judge(tenon, path, expect, tensors, partial):
    code, got = listing(tenon, path)
    if expect == "refuse":
        error = (got or {}).get("error") or {}
        located = error.get("file") and error.get("what")
        return [] if code == 3 and located else [f"exit {code}, error {error}"]
    if expect == "either" or tensors is None:
        return [] if code in (0, 3) and got is not None else [f"exit {code}"]
    return ([f"exit {code}: {(got or {}).get('error')}"] if code != 0 else []) + differences(tensors, partial, got)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tenon", required=True)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[3] / "shared" / "data")
    p.add_argument("--show", type=int, default=20)
    a = p.parse_args()
    if not (a.data / "manifest.jsonl").exists():
        print(f"skipped: {a.data} is not there; the committed files of tests/conformance/data are tested all the same")
        return 77
    counts, kinds, wrong = {}, {}, []
    for path, expect, tensors, partial in cases(a.data):
        problems = judge(a.tenon, path, expect, tensors, partial)
        right, all_ = counts.get(expect, (0, 0))
        counts[expect] = (right + (not problems), all_ + 1)
        kind = kind_of(path.relative_to(a.data).parts)
        right, all_ = kinds.get(kind, (0, 0))
        kinds[kind] = (right + (not problems), all_ + 1)
        if problems:
            wrong.append((path.relative_to(a.data), problems))
    for path, problems in wrong[: a.show]:
        print(f"{path}: {'; '.join(problems[:3])}")
    print(", ".join(f"{kind}: {right} of {all_}" for kind, (right, all_) in sorted(kinds.items())))
    print(", ".join(f"{expect}: {right} of {all_} right" for expect, (right, all_) in counts.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
