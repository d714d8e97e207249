"""For the programs beside it: writes a blueprint, and asks the command `tenon` whether a checkpoint fits one."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
import tenon_blueprint  # noqa: E402


def write_blueprint(model, path, inputs=None):
    """Beside `path`; what the module warns of is printed. Returns the blueprint's path."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        written = tenon_blueprint.write(model, path, inputs=inputs)
    for warning in told:
        print("  tenon_blueprint warns:", warning.message)
    return written


def command():
    """$TENON, else the one built here, else the one in PATH."""
    built = ROOT / "build" / "release" / "tenon"
    found = os.environ.get("TENON") or (str(built) if built.exists() else shutil.which("tenon"))
    if not found:
        sys.exit("no tenon found: build it with scripts/build, or set TENON to the program")
    return found


def check(checkpoint, blueprint):
    """Shows what tenon answers. Returns the ids of the causes why the checkpoint does not fit; none where it fits."""
    folder, tenon = os.path.dirname(checkpoint), command()
    arguments = ["check", os.path.basename(checkpoint), "--against", os.path.basename(blueprint)]
    print("\n$ tenon", *arguments, flush=True)
    shown = subprocess.run([tenon, *arguments], cwd=folder)
    answer = subprocess.run([tenon, *arguments, "--json"], cwd=folder, capture_output=True, text=True)
    return [cause["id"] for cause in json.loads(answer.stdout)["causes"]] if shown.returncode == 1 else []
