#!/usr/bin/env python3
"""Runs the ```console blocks of Markdown files and compares what they print with what the document shows.

usage: transcripts.py --tenon PATH [--update] FILE.md...

A block is run from top to bottom in a copy of examples/data/tiny/, by bash, with `tenon` on the PATH. Lines that begin with "$ "
are commands; the lines up to the next one are their output (stdout and stderr as they come). With --update the documents are
rewritten to what was printed, for a person to read in review.
"""
import argparse, os, pathlib, shutil, subprocess, sys, tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
FENCE = "```"


def run(command, folder, tenon):
    env = dict(os.environ, PATH=f"{tenon.parent}:{os.environ['PATH']}", NO_COLOR="1", COLUMNS="100", LC_ALL="C.UTF-8")
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    return [line.rstrip() for line in done.stdout.decode("utf-8", "replace").splitlines()]


def rerun(block, folder, tenon):
    """The block as it would print today."""
    fresh, at = [], 0
    while at < len(block):
        line = block[at]
        if not line.startswith("$ "):
            at += 1  # old output: replaced by what the command above prints
            continue
        command = line[2:]
        fresh.append(line)
        at += 1
        while command.endswith("\\") and at < len(block):
            command += "\n" + block[at]
            fresh.append(block[at])
            at += 1
        fresh += run(command, folder, tenon)
    return fresh


def rewritten(text, tenon):
    """The document with all its console blocks run, and how many there were."""
    out, lines, at, count = [], text.split("\n"), 0, 0
    while at < len(lines):
        out.append(lines[at])
        at += 1
        if out[-1].strip() != FENCE + "console":
            continue
        end = lines.index(FENCE, at)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(REPO / "examples/data/tiny", folder, dirs_exist_ok=True)
            out += rerun(lines[at:end], folder, tenon)
        at, count = end, count + 1
    return "\n".join(out), count


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tenon", required=True, type=pathlib.Path)
    p.add_argument("--update", action="store_true")
    p.add_argument("files", nargs="+", type=pathlib.Path)
    a = p.parse_args()
    if not a.tenon.is_file():
        p.error(f"{a.tenon}: there is no such program")
    failed = total = 0
    for path in a.files:
        shown = path.read_text()
        now, count = rewritten(shown, a.tenon.resolve())
        total += count
        if now == shown:
            continue
        if a.update:
            path.write_text(now)
            print(f"{path}: rewritten")
            continue
        failed += 1
        print(f"{path}: the document shows something else than the program prints (--update rewrites it)")
        for was, is_ in zip(shown.split("\n"), now.split("\n")):
            if was != is_:
                print(f"  shown:   {was}\n  printed: {is_}")
                break
    print(f"{total} console blocks in {len(a.files)} documents, {failed} documents differ")
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
