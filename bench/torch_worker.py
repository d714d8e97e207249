"""PyTorch's side of the benchmark: a process that stays alive, so that `import torch` and cold memory are not what is measured.

One JSON object a line comes in, {"do": NAME, ...}; one goes out, {"seconds": ...} or {"error": ...}. Run by scripts/bench with each Python that has torch.
"""
import ctypes
import gc
import inspect
import json
import os
import sys
import time
from collections import OrderedDict

import torch

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
held = {}  # name -> tensor: the model's own parameters


def memory(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    return 0


def measured(work, fresh=False):
    """`fresh` gives what earlier loads left in the heap back to the system, as a process has it that loads for the first time: new memory is
    several times slower to fill than memory that was used before.

    Seconds of `work()`, and by how much the resident memory rose at its highest. What it returns is freed outside the clock."""
    gc.collect()
    if fresh:
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")  # VmHWM starts over
    before = memory("VmRSS")
    began = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - began
    answer = {"seconds": seconds, "extra_rss": memory("VmHWM") - before}
    del kept
    return answer


def load(path, mmap=False):
    options = {"map_location": "cpu"}
    if mmap:
        options["mmap"] = True
    if "weights_only" in inspect.signature(torch.load).parameters:
        options["weights_only"] = True
    return torch.load(path, **options)


def do_load(path, mmap=False, fresh=False):
    return measured(lambda: load(path, mmap), fresh)


def do_list(path, mmap=False):
    return measured(lambda: [(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in load(path, mmap).items()])


def do_model(path):
    """The parameters of a model that the file fits, their memory touched."""
    global module
    held.clear()
    held.update((name, torch.ones_like(tensor)) for name, tensor in load(path).items())
    module = torch.nn.Module()
    for name, tensor in held.items():
        place = module
        *folders, last = name.split(".")
        for folder in folders:
            if not hasattr(place, folder):
                place.add_module(folder, torch.nn.Module())
            place = getattr(place, folder)
        place.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
    return {"tensors": len(held)}


def do_load_into(path, mmap=False, fresh=False):
    return measured(lambda: module.load_state_dict(load(path, mmap)), fresh)


def do_safetensors_into(path):
    from safetensors import safe_open

    def work():
        with safe_open(path, "pt") as file:
            for name in file.keys():
                held[name].copy_(file.get_tensor(name))
    return measured(work)


def do_safetensors_list(path):
    from safetensors import safe_open

    def work():
        with safe_open(path, "pt") as file:
            return [(name, file.get_slice(name).get_dtype(), tuple(file.get_slice(name).get_shape())) for name in file.keys()]
    return measured(work)


def do_save(path, fsync=False):
    def work():
        torch.save(module.state_dict(), path)
        if fsync:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    return measured(work)


def do_diff(a, b):
    def work():
        one, other = load(a), load(b)
        return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    return measured(work)


def do_write_pt(source, path):
    """A safetensors file as torch.save writes it; a plain dict, since LibTorch 1.13's pickle_load cannot read an OrderedDict."""
    with open(source, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        begin = file.tell()
    size = os.path.getsize(source)
    whole = torch.from_file(source, size=size, dtype=torch.uint8)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            tensors[name] = whole[begin + first:begin + last].clone().view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    torch.save(tensors, path)
    return {"tensors": len(tensors)}


def do_about():
    try:
        import safetensors
        version = safetensors.__version__
    except ImportError:
        version = None
    return {"torch": torch.__version__, "mmap": "mmap" in inspect.signature(torch.load).parameters, "safetensors": version}


def main():
    torch.set_num_threads(2)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = globals()["do_" + request.pop("do")](**request)
        except Exception as error:  # the answer of this line; the next one may fare better
            answer = {"error": "{}: {}".format(type(error).__name__, error)[:300]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
