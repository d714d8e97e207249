#!/usr/bin/env python3
"""Every report of a failure says in its first two lines what is wrong and in its last what to type: all golden texts and pairs.

usage: reports_test.py --tenon PATH
"""
import argparse, os, pathlib, subprocess, sys

from transcripts import REPO, first_cause, report_problem


def command_of(case):
    sides = {name: case / f"{name}.blueprint.json" for name in ("checkpoint", "target")}
    given = {name: str(path) for name, path in sides.items() if path.exists()}
    if not (case / "error.txt").exists():
        return ["check", given["checkpoint"], "--against", given["target"]] if len(given) == 2 else None
    words = ["explain", str(case / "error.txt")]
    for name, option in (("checkpoint", "--checkpoint"), ("target", "--against")):
        words += [option, given[name]] if name in given else []
    return words


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tenon", required=True, type=pathlib.Path)
    tenon = str(p.parse_args().tenon.resolve())
    env = dict(os.environ, NO_COLOR="1", COLUMNS="100", LC_ALL="C.UTF-8")
    failed, causes, told = 0, set(), 0
    for case in sorted((REPO / "tests" / "golden").iterdir()):
        words = command_of(case) if case.is_dir() else None
        if words is None:
            continue
        done = subprocess.run([tenon, *words], env=env, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            continue
        lines = done.stdout.splitlines()
        told += 1
        causes.add(first_cause(lines))
        if problem := report_problem(lines):
            failed += 1
            print(f"{case.name}: {problem}")
    print(f"{told} reports of {len(causes)} causes, {failed} wrong")
    return 1 if failed or len(causes) < 25 else 0


if __name__ == "__main__":
    sys.exit(main())
