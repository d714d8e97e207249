#!/usr/bin/env python3
"""Real conversions: the weights of one model are moved into another by `tenon adapt`, and both must then compute the same.

usage: run.py --tenon PATH [--twin PATH] [--only WORD] [--table]

For each conversion both models are built with random weights (PyTorch code in two spellings; torchvision's own where named), the source is
saved, and `tenon adapt SOURCE --to TARGET -o OUT` runs, with a reviewed plan or an acceptance only where the conversion says what a person
has to know. OUT is loaded strictly by load_state_dict, and the outputs are compared: bit for bit, or within the deviation that the conversion
states with its reason. Where a person was needed, tenon is also asked without one: it must decline, or be right.
--table prints the results as Markdown; --twin names the LibTorch program of `resnet18_twin.cpp`.

Exits with 77 (CTest: skipped) where PyTorch or torchvision is not installed.
"""
import argparse, importlib, json, pathlib, subprocess, sys, tempfile, traceback

try:
    import torch
    import torchvision  # noqa: F401  both are needed by the conversions
except ImportError as missing:
    print(f"SKIPPED: {sys.executable} has no {missing.name}; no conversion was run")
    sys.exit(77)

from conversion import Conversion, randomise

TABLE = ["resnet18_names", "mobilenet_v2", "vit", "in_proj", "per_head_qkv", "experts", "gpt2", "llama", "bert_tf", "keras_layout", "weight_norm",
         "folded_batch_norm", "lora", "grey_images", "tied_language_model", "all_at_once"]
SOURCE_SEED, TARGET_SEED, INPUT_SEED = 1, 2, 3


def adapt(tenon, folder, out, *options):
    """Runs tenon; returns its exit code and what it said."""
    command = [tenon, "adapt", folder / "source.pth", "--to", folder / "target.pth", "-o", out, *options]
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    return ran.returncode, ran.stdout + ran.stderr


def options_of(conversion, folder):
    options = [word for what in conversion.accept for word in ("--accept", what)]
    if conversion.plan:
        (folder / "plan.json").write_text(json.dumps(conversion.plan))
        options += ["--plan", folder / "plan.json"]
    return options


def deviation(out, conversion, expected, inputs):
    """Largest absolute deviation of the target's output after a strict load of OUT."""
    model = conversion.target().eval()
    model.load_state_dict(torch.load(out, map_location="cpu"), strict=True)
    with torch.no_grad():
        output = conversion.run_target(model, *inputs)
    return (output - expected).abs().max().item()


def convert(tenon, conversion: Conversion, folder):
    """Returns a row of the table: what deviates, and what tenon does without a person. Raises AssertionError where something is wrong."""
    source, target = randomise(conversion.source(), SOURCE_SEED), randomise(conversion.target(), TARGET_SEED)
    torch.save(conversion.save(source), folder / "source.pth")
    torch.save(target.state_dict(), folder / "target.pth")
    for name, text in conversion.beside.items():
        (folder / name).write_text(text)
    torch.manual_seed(INPUT_SEED)
    inputs = conversion.inputs()
    with torch.no_grad():
        expected = conversion.expected(source, target, inputs) if conversion.expected else conversion.run_source(source, *inputs)
    before = deviation(folder / "target.pth", conversion, expected, inputs)
    assert before > 1000 * conversion.tolerance and before > 1e-2, f"the models agree before the load ({before:.1e}): nothing is tested"

    code, said = adapt(tenon, folder, folder / "out.pth", *options_of(conversion, folder))
    assert code == 0, f"tenon adapt: exit {code}\n{said}"
    after = deviation(folder / "out.pth", conversion, expected, inputs)
    assert after <= conversion.tolerance, f"the output deviates by {after:.2e}, {conversion.tolerance:.0e} is allowed\n{said}"
    return {"deviation": after, "unaided": unaided(tenon, conversion, folder, expected, inputs)}


def run_twin(twin, *words):
    ran = subprocess.run([twin, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, f"the twin: exit {ran.returncode}\n{ran.stdout}{ran.stderr}"


def convert_to_twin(tenon, twin, folder):
    """torchvision's ResNet-18 into the LibTorch twin, which loads and runs OUT in C++."""
    source = randomise(torchvision.models.resnet18(), SOURCE_SEED)
    torch.save(source.state_dict(), folder / "source.pth")
    run_twin(twin, "save", folder / "target.pth")
    torch.manual_seed(INPUT_SEED)
    image = torch.randn(2, 3, 64, 64)
    torch.save(image, folder / "image.pt")
    code, said = adapt(tenon, folder, folder / "out.safetensors")
    assert code == 0, f"tenon adapt: exit {code}\n{said}"
    run_twin(twin, "run", folder / "out.safetensors", folder / "image.pt", folder / "output.pt")
    with torch.no_grad():
        after = (torch.load(folder / "output.pt") - source(image)).abs().max().item()
    assert after == 0, f"the output deviates by {after:.2e}, and should be equal bit for bit\n{said}"
    return {"deviation": after, "unaided": "right"}


def unaided(tenon, conversion, folder, expected, inputs):
    """What tenon does without plan and acceptance; being wrong is the one thing that is not allowed."""
    if not conversion.knowledge:
        return "right"
    code, said = adapt(tenon, folder, folder / "unaided.pth")
    if code != 0:
        return "declines"
    after = deviation(folder / "unaided.pth", conversion, expected, inputs)
    assert after <= conversion.tolerance, f"without a person tenon writes a file that deviates by {after:.2e}\n{said}"
    return "right"


def all_conversions(twin):
    """name, conversion, how it is run in a folder with a tenon"""
    if twin:
        yield "resnet18 torchvision -> LibTorch twin", None, lambda tenon, folder: convert_to_twin(tenon, twin, folder)
    for module in TABLE:
        for name, conversion in importlib.import_module(module).CONVERSIONS.items():
            yield name, conversion, lambda tenon, folder, what=conversion: convert(tenon, what, folder)


def markdown(rows):
    yield "| conversion | what a person had to know | largest deviation | allowed | without a person |"
    yield "|---|---|---|---|---|"
    for name, conversion, row in rows:
        loose = conversion and conversion.tolerance
        allowed = f"{conversion.tolerance:.0e}: {conversion.why_not_exact}" if loose else "bit for bit"
        yield f"| {name} | {(conversion and conversion.knowledge) or 'nothing'} | {row['deviation']:.1e} | {allowed} | {row['unaided']} |"


def not_in_the_document(rows):
    """Conversions of which docs/conversions.md says something else, or nothing."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/conversions.md").read_text()
    for (name, conversion, row), line in zip(rows, list(markdown(rows))[2:]):
        cells = line.split(" | ")
        shown = [shown.split(" | ") for shown in page.splitlines() if shown.startswith(f"| {name} |")]
        if not any(told[:2] == cells[:2] and told[3:] == cells[3:] for told in shown):
            yield name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    parser.add_argument("--twin")
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, failed = [], 0
    for name, conversion, run in all_conversions(options.twin):
        if options.only.lower() not in name.lower():
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows.append((name, conversion, run(options.tenon, pathlib.Path(folder))))
                print(f"ok      {name}: deviates by {rows[-1][2]['deviation']:.1e}; without a person tenon {rows[-1][2]['unaided']}")
            except AssertionError as wrong:
                failed += 1
                print(f"FAILED  {name}: {wrong}")
            except Exception:
                failed += 1
                print(f"FAILED  {name}: {traceback.format_exc()}")
    if options.table:
        print("\n".join(markdown(rows)))
    for name in not_in_the_document(rows):
        failed += 1
        print(f"FAILED  {name}: docs/conversions.md says otherwise")
    print(f"{len(rows)} conversions right, {failed} not")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
