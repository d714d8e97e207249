"""tenon_blueprint: what decides a model's function, written down beside its weights.

    import tenon_blueprint
    torch.save(model.state_dict(), "model.pth")
    tenon_blueprint.write(model, "model.pth", inputs=(images,))     # makes model.pth.blueprint.json

A blueprint holds modules with their options, tensors with roles and ties, the operations of one run, the environment,
and a probe: what the model computes for these inputs. `tenon check model.pth --against other.blueprint.json` then tells
whether the weights fit a model and whether that model computes the same.

One file: needs torch (1.13 or newer) and the standard library. Nothing of the model is changed: training mode, buffers
and random generators are as they were. A run has limits (`max_seconds`, `max_bytes`): what is over one is left out, and
the blueprint says so. The format is described in tenon's docs/formats/blueprint.md.

    blueprint(model, inputs=None, optimizer=None, training=None, ...)     the document, as a dict
    write(model, path, inputs=None, optimizer=None, training=None, ...)   beside a checkpoint
        both take parent="before.pth": the checkpoint that training began with; what changed since is recorded
    embed(path, document)                                            into a checkpoint
    unregistered(model, optimizer=None)                              state that state_dict() does not hold
    example_inputs(seed, (shape, dtype), ...)                        inputs that every runtime can make
    expect_round_trip(make_model, inputs, train=None)                for tests of custom layers
"""

import argparse
import collections
import collections.abc
import contextlib
import ctypes
import difflib
import dis
import enum
import functools
import hashlib
import io
import itertools
import json
import math
import numbers
import os
import platform
import random
import re
import struct
import sys
import time
import types
import warnings
import weakref
import zipfile

import torch
from torch.overrides import TorchFunctionMode, handle_torch_function

__all__ = ["blueprint", "write", "embed", "unregistered", "example_inputs", "expect_round_trip"]

SCHEMA = "tenon.blueprint/1"
SAMPLE_ELEMENTS = 64
FINGERPRINT_ELEMENTS = 1024
WHOLE_INPUT_ELEMENTS = 4096
DIGEST_BYTES = 1 << 30
MAX_NODES = 100_000
MAX_DEPTH = 16


# ---- the document ---------------------------------------------------------------------------------------------------


def blueprint(model, inputs=None, optimizer=None, training=None, parent=None, max_seconds=60.0, max_bytes=1 << 30):
    """The blueprint of a live `torch.nn.Module` as a dict that `json.dump` takes.

    inputs: a tensor, a tuple of arguments, or a dict of keyword arguments for `model`; with them the model runs once
        (a second time only where it draws random numbers) in evaluation mode and without gradients, and operations and
        probe are recorded. What `forward` raises is passed on.
    optimizer: a `torch.optim.Optimizer`; its groups are listed by parameter name.
    training: a dict of your own: epoch, learning rate, anything plain.
    parent: what this model came from: a checkpoint with a blueprint inside or beside it, a `.blueprint.json` file, or
        a document. Its digest and what changed since are recorded; `tenon log` follows them. Raises ValueError where
        it has no blueprint.
    max_seconds: a run that takes longer is stopped at its next operation; a second run must fit in as well.
    max_bytes: of inputs and outputs together, whose digests are taken.
        What is over a limit is left out, and `left_out` in the document says what and why; the rest is as ever.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError("tenon_blueprint: model must be a torch.nn.Module, not " + type(model).__name__)
    held = _Held(model)
    run = _Run(held, inputs, _Limits(max_seconds, max_bytes)) if inputs is not None else None
    assigned = run.assigned if run else {}
    if run is not None:
        held = _Held(model, held.state)  # a run may register what was not there
    document = {
        "schema": SCHEMA,
        "class": _class_name(model),
        "tensors": _tensor_rows(held),
        "modules": _module_rows(held, assigned, run.options if run else {}),
        "environment": _environment(held.state),
        "unsaved": _UnsavedSearch(held, assigned).rows(optimizer),
    }
    if training is not None:
        document["training"] = {str(key): _plain(value, str(value)) for key, value in training.items()}
    if optimizer is not None:
        document["optimizer"] = {"groups": _optimizer_groups(held, optimizer)}
    if run is not None:
        document.update(run.members())
    if any(isinstance(module, torch.jit.ScriptModule) for module in held.modules):  # compiled modules show neither options nor what they call: only the probe tells
        document["modules"] = []
        document.pop("graph", None)
    document["digests"] = _digests(document)
    if parent is not None:
        _set_parent(document, parent)
    return document


def write(model, path, inputs=None, optimizer=None, training=None, parent=None, max_seconds=60.0, max_bytes=1 << 30):
    """Writes the blueprint to `path` if that ends in `.blueprint.json`, else to `path` + ".blueprint.json".

    The file appears whole or not at all. Returns its path. Warns where state is not saved, or where the number of rows
    that go in is not the number that comes out, or a limit left the probe out.
    """
    document = blueprint(model, inputs, optimizer, training, parent, max_seconds, max_bytes)
    for row in document["unsaved"]:
        warnings.warn("not in the state dict: {name} ({why})".format(**row), stacklevel=2)
    for finding in document.get("probe", {}).get("findings", []):
        warnings.warn(finding, stacklevel=2)
    for clause in document.get("left_out", []):
        warnings.warn("left out of the blueprint: " + clause, stacklevel=2)
    path = os.fspath(path)
    if not path.endswith(".blueprint.json"):
        path += ".blueprint.json"
    _replace(path, lambda out: out.write(_to_json(document).encode()))
    return path


def embed(path, document):
    """Puts a blueprint into a checkpoint: a `.safetensors` file or one that `torch.save` wrote.

    All readers still read the file. It is copied beside itself, synced and renamed; a crash leaves the old one. The
    digests that tenon stores in a `.safetensors` file hold no longer and are taken out. Raises ValueError for other
    files, and for an archive that has a blueprint or such digests already.
    """
    path = os.fspath(path)
    with open(path, "rb") as source:
        start = source.read(9)
    if start[:4] == b"PK\x03\x04":
        _embed_zip(path, document)
    elif len(start) == 9 and start[8:9] == b"{":
        _embed_safetensors(path, document)
    else:
        raise ValueError("tenon_blueprint: " + path + " is neither safetensors nor a zip archive of torch.save; "
                         "use write(), which puts the blueprint beside it")


def unregistered(model, optimizer=None):
    """State that `model.state_dict()` does not hold: a list of {"name", "why"}.

    Tensors kept as plain attributes or in lists, modules in lists or dicts, non-persistent buffers, tensors that an
    overridden `state_dict` leaves out, and parameters of the optimizer that are in no state dict.
    """
    return _UnsavedSearch(_Held(model), {}).rows(optimizer)


def example_inputs(seed, *specs):
    """Inputs from tenon's generator: (shape, dtype) or (shape, dtype, below) each; `below` bounds integers.

    A dtype is torch's or its name, `"float32"`. Floating values are multiples of 1/64 in [-2, 2). The inputs are filled
    one after another from one sequence, so that the blueprint needs their seed only and any runtime can make them again.
    Raises TypeError for anything else than a dtype.
    """
    values, position = [], 0
    for spec in specs:
        shape, dtype = tuple(spec[0]), spec[1]
        if isinstance(dtype, str):
            dtype = getattr(torch, dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise TypeError("tenon_blueprint: {!r} is no dtype; use torch.float32 or \"float32\"".format(spec[1]))
        count = math.prod(shape)
        draws = [_splitmix64(seed + position + i) for i in range(count)]
        position += count
        if dtype.is_floating_point or dtype.is_complex:
            tensor = torch.tensor([(draw >> 56) / 64 - 2 for draw in draws], dtype=torch.float64)
        else:
            below = spec[2] if len(spec) > 2 else 2
            tensor = torch.tensor([(draw >> 33) % below for draw in draws], dtype=torch.int64)
        values.append(tensor.to(dtype).reshape(shape))
    result = _Seeded(values)
    result.seed = seed
    return result


class _Seeded(tuple):
    seed = None


def _splitmix64(x):
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


# ---- plain values ---------------------------------------------------------------------------------------------------

_NOT_PLAIN = object()


def _plain(value, otherwise=_NOT_PLAIN, depth=0):
    """`value` as JSON, or `otherwise`: numbers, texts, booleans, None, lists of these; dtypes and functions by name."""
    if type(value) in _FINITE or isinstance(value, str):
        return value
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _number(float(value))
    if isinstance(value, torch.dtype):
        return _dtype_name(value)
    if isinstance(value, (list, tuple)) and depth < MAX_DEPTH and len(value) <= 4096:
        items = [_plain(item, _NOT_PLAIN, depth + 1) for item in value]
        return otherwise if any(item is _NOT_PLAIN for item in items) else items
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)) and value.__name__ != "<lambda>":
        return value.__name__
    return otherwise


def _number(value):
    if math.isnan(value):
        return "nan"
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


_to_json = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode


def _dtype_name(dtype):
    return str(dtype).replace("torch.", "")


def _class_name(module):
    return getattr(module, "original_name", None) or type(module).__name__


# ---- tensors and modules --------------------------------------------------------------------------------------------


def _state_tensors(model):
    """name -> tensor of the state dict, in its order; what is no tensor is left out."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def _place(tensor):
    """Equal for tensors that are the same memory in the same form; None where that cannot be told."""
    try:
        address = tensor.data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse, lazy, wrapped
        return None
    if address == 0 or tensor.numel() == 0:
        return None
    return address, tensor.shape, tensor.stride(), tensor.dtype, tensor.device


class _Held:
    """What a model holds: its modules, its registered tensors and its state dict, walked once."""

    def __init__(self, model, state=None):
        self.model = model
        self.state = _state_tensors(model) if state is None else state
        self.places = list(model.named_modules(remove_duplicate=False))  # a shared module under each of its paths
        self.paths = {}  # id of a module -> the first of its paths
        for path, module in self.places:
            self.paths.setdefault(id(module), path)
        self.once = [(path, module) for path, module in self.places if self.paths[id(module)] == path]
        self.modules = [module for _, module in self.once]
        self.tensors = list(_owned(self.places))


def _owned(places):
    """(joined name, tensor, is_parameter, is_persistent) of all registered tensors; ties come once for each name."""
    for path, module in places:
        prefix = path + "." if path else ""
        for name, tensor in getattr(module, "_parameters", {}).items():
            if tensor is not None:
                yield prefix + name, tensor, True, True
        transient = getattr(module, "_non_persistent_buffers_set", set())
        for name, tensor in getattr(module, "_buffers", {}).items():
            if tensor is not None:
                yield prefix + name, tensor, False, name not in transient


def _tensor_rows(held):
    owned = {name: (tensor, is_parameter) for name, tensor, is_parameter, _ in held.tensors}
    first, rows = {}, []
    for name, tensor in held.state.items():
        live, is_parameter = owned.get(name, (None, None))
        place = _place(tensor)
        if place is None and live is not None:
            place = id(live)  # meta and empty tensors have no address
        tied_to = first.setdefault(place, name) if place is not None else name
        row = {"name": name, "dtype": _dtype_name(tensor.dtype), "shape": list(tensor.shape),
               "tied_to": None if tied_to == name else tied_to}
        if tensor.layout == torch.strided and not tensor.is_contiguous():
            row["stride"] = list(tensor.stride())
        if live is not None:
            row["role"] = "parameter" if is_parameter else "buffer"
            if is_parameter:
                row["requires_grad"] = bool(live.requires_grad)
        rows.append(row)
    return rows


def _module_rows(held, assigned, known_options):
    """known_options: of each module as a run found it, `assigned` included; {} without a run."""
    rows = []
    for path, module in held.places:
        row = {"path": path, "type": _class_name(module), "options": {}}
        if not type(module).__module__.startswith("torch."):
            row["custom"] = True
        if held.paths[id(module)] != path:
            row["same_as"] = held.paths[id(module)]
        if module in known_options:
            row["options"] = known_options[module].without(assigned.get(id(module), set()))
        else:
            row["options"] = _options(module, assigned.get(id(module), set()))
        rows.append(row)
    return rows


def _options(module, assigned):
    """Public plain attributes that no run of `forward` assigns, and what torch's own hooks were given."""
    return _Options(module).without(assigned)


class _Options:
    """The options of a module before a run: what the run did not touch need not be read again."""

    def __init__(self, module):
        skipped = _stored_by_forward(type(module))
        self.values = {name: value for name, value in vars(module).items()
                       if not name.startswith("_") and name not in skipped and name != "training"}
        plain = {name: _option(value) for name, value in self.values.items()}
        self.plain = {name: value for name, value in plain.items() if value is not _NOT_PLAIN}
        self.of_hooks = _options_of_hooks(module)

    def without(self, assigned):
        return {**{name: value for name, value in self.plain.items() if name not in assigned}, **self.of_hooks}

    def changed(self, module):
        """Names whose values are others now; an object that cannot change is compared by identity alone."""
        now = vars(module)
        names = {name for name, before in self.plain.items() if not self._is_untouched(name, now)
                 and _option(now.get(name, _NOT_PLAIN)) != before}
        if self.of_hooks:
            after = _options_of_hooks(module)
            names |= {name for name, before in self.of_hooks.items() if after.get(name, _NOT_PLAIN) != before}
        return names

    def _is_untouched(self, name, now):
        value = self.values[name]
        if now.get(name, _NOT_PLAIN) is not value:
            return False
        return type(value) in _UNCHANGING or (type(value) is tuple and all(type(x) in _UNCHANGING for x in value))


_FINITE = frozenset((type(None), bool, int))
_UNCHANGING = _FINITE | {float, str}


def _options_of_hooks(module):
    options = {}
    for hook in getattr(module, "_forward_pre_hooks", {}).values():  # weight_norm, spectral_norm, prune
        if type(hook).__module__.startswith("torch.nn.utils."):
            options[type(hook).__name__] = _members(vars(hook), 1)
    return options


def _option(value, depth=0):
    """`value` as _plain() has it; also sets, dicts and configuration objects, of which the plain members count.

    Absolute paths are left out: where a run was kept decides nothing, and names people.
    """
    if type(value) in _FINITE:
        return value
    if isinstance(value, str) and re.match(r"[/~]|\\\\|[A-Za-z]:[\\/]", value):
        return _NOT_PLAIN
    plain = _plain(value)
    if plain is not _NOT_PLAIN or depth >= MAX_DEPTH:
        return plain
    if isinstance(value, (list, tuple)) and len(value) <= 4096:
        items = [_option(item, depth + 1) for item in value]
        return _NOT_PLAIN if any(item is _NOT_PLAIN for item in items) else items
    if isinstance(value, (set, frozenset)):
        items = [_option(item, depth + 1) for item in value]
        return _NOT_PLAIN if any(item is _NOT_PLAIN for item in items) else sorted(items, key=_to_json)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, functools.partial):
        parts = {"function": _option(value.func, depth + 1), "arguments": _option(value.args, depth + 1)}
        return _members({**parts, **value.keywords}, depth + 1)
    if type(value).__module__ == "numpy" and getattr(value, "size", math.inf) <= 4096:
        return _plain(value.tolist())
    if isinstance(value, collections.abc.Mapping):
        return _members(value, depth + 1)
    if isinstance(value, (types.SimpleNamespace, argparse.Namespace)) or hasattr(type(value), "to_dict"):
        return _members(getattr(value, "__dict__", {}), depth + 1)
    if hasattr(type(value), "__dataclass_fields__"):
        return _members({name: getattr(value, name, None) for name in value.__dataclass_fields__}, depth + 1)
    return _NOT_PLAIN


def _members(mapping, depth):
    """The plain ones under public text names."""
    members = {str(key): _option(item, depth) for key, item in list(mapping.items())[:4096]
               if isinstance(key, (str, int)) and not str(key).startswith("_")}
    return {key: item for key, item in members.items() if item is not _NOT_PLAIN}


_GROWS = {"append", "appendleft", "extend", "insert", "add", "update", "setdefault", "pop", "popleft", "clear"}


def _stored_by_forward(cls):
    return _stored_from(cls, getattr(cls, "forward", None))


@functools.lru_cache(maxsize=256)  # a model has many modules of few classes
def _stored_from(cls, forward):
    """Attribute names that `forward`, or a method it calls, stores or lets grow: results and counters, not options.

    Read from the byte code, so that it is known without a run, too.
    """
    stored, seen = set(), set()
    waiting = [vars(base)["forward"] for base in cls.__mro__ if "forward" in vars(base)]
    while waiting:
        code = getattr(waiting.pop(), "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        steps = list(dis.get_instructions(code))
        for step, _, *later in zip(steps, steps[1:], steps[2:], steps[3:]):
            if step.opname == "LOAD_ATTR" and any(after.opname in ("LOAD_ATTR", "LOAD_METHOD") and after.argval in _GROWS
                                                  for after in later):
                stored.add(step.argval)  # of an item: self.kept["rows"].append
        for step, _, after in zip(steps, steps[1:], steps[2:]):
            if step.opname == "LOAD_ATTR" and after.opname == "STORE_SUBSCR":
                stored.add(step.argval)
        for step, after in zip(steps, steps[1:]):
            if step.opname == "STORE_ATTR":
                stored.add(step.argval)
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                if after.opname in ("LOAD_ATTR", "LOAD_METHOD") and after.argval in _GROWS:
                    stored.add(step.argval)
                if isinstance(getattr(cls, step.argval, None), types.FunctionType) and step.argval != "__init__":
                    waiting.append(getattr(cls, step.argval))
    return stored


def _made_by_hooks(module):
    """Tensors that torch's weight_norm, spectral_norm and prune compute from parameters before each run."""
    hooks = getattr(module, "_forward_pre_hooks", {}).values()
    return {getattr(hook, "name", getattr(hook, "_tensor_name", None)) for hook in hooks}


def _optimizer_groups(held, optimizer):
    names = {}  # id of a registered tensor -> its first name in the state dict
    for name, tensor, _, _ in held.tensors:
        if name in held.state:
            names.setdefault(id(tensor), name)
    groups = []
    for number, group in enumerate(optimizer.param_groups):
        options = {name: _plain(value) for name, value in group.items() if name != "params"}
        groups.append({
            "options": {name: value for name, value in options.items() if value is not _NOT_PLAIN},
            "parameters": [names.get(id(p), "<group {} parameter {}>".format(number, i))
                           for i, p in enumerate(group["params"])]})
    return groups


# ---- state that is not saved ----------------------------------------------------------------------------------------


class _UnsavedSearch:
    def __init__(self, held, assigned):
        self.held = held
        self.assigned = assigned
        self.found = []
        self.seen = set()  # ids of tensors and modules that are accounted for
        self.kept = {place for place in map(_place, held.state.values()) if place is not None}
        self.modules = set(held.paths)  # ids of modules that are accounted for

    def rows(self, optimizer):
        for name, tensor, _, is_persistent in self.held.tensors:
            if name in self.held.state or _place(tensor) in self.kept:
                self.seen.add(id(tensor))
        for name, tensor, _, is_persistent in self.held.tensors:
            self._note(name, tensor, "left out by state_dict()" if is_persistent else "non-persistent buffer")
        for path, module in self.held.once:
            self._attributes(path, module)
        for number, group in enumerate(optimizer.param_groups if optimizer is not None else []):
            for i, parameter in enumerate(group["params"]):
                self._note("<group {} parameter {}>".format(number, i), parameter, "parameter of the optimizer")
        return self.found

    def _note(self, name, tensor, why):
        if id(tensor) in self.seen or _place(tensor) in self.kept:
            return
        self.seen.add(id(tensor))
        self.found.append({"name": name, "why": why})

    def _attributes(self, path, module):
        skipped = self.assigned.get(id(module), set()) | _stored_by_forward(type(module)) | _made_by_hooks(module)
        for name, value in list(vars(module).items()):
            if type(value) in _UNCHANGING or name in ("_parameters", "_buffers", "_modules"):
                continue
            if name in skipped or "hooks" in name:
                continue
            self._value((path + "." if path else "") + name, value, "attribute", 0)

    def _value(self, name, value, where, depth):
        if isinstance(value, torch.Tensor):
            self._note(name, value, "tensor attribute" if where == "attribute" else "tensor in a " + where)
        elif isinstance(value, torch.nn.Module):
            self._module(name, value, where)
        elif isinstance(value, (list, tuple, set, dict)) and depth < MAX_DEPTH and id(value) not in self.seen:
            self.seen.add(id(value))
            kind = next(kind for kind in (list, tuple, set, dict) if isinstance(value, kind)).__name__
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                self._value("{}.{}".format(name, key), item, kind, depth + 1)

    def _module(self, name, module, where):
        if id(module) in self.modules:
            return
        self.modules.add(id(module))
        why = "module in a " + where if where != "attribute" else "module that is not registered"
        for inner, tensor, _, _ in list(_owned(module.named_modules(remove_duplicate=False))):
            self._note(name + "." + inner, tensor, why)


# ---- one run --------------------------------------------------------------------------------------------------------

# Operations that pass values on unchanged: a model with and without them is the same.
_TRANSPARENT = {"data", "detach", "contiguous", "clone", "requires_grad_", "cpu", "cuda", "pin_memory", "alias"}
_CASTS = {"to", "type", "type_as", "float", "double", "half"}  # transparent where the dtype stays
_SHAPE_OPS = {"view", "reshape", "expand", "unflatten", "repeat", "zeros", "ones", "empty", "full", "rand", "randn",
              "new_zeros", "new_ones", "new_empty", "new_full", "broadcast_to"}


class _Limits:
    def __init__(self, seconds=math.inf, size=math.inf):
        self.seconds = seconds
        self.bytes = size
        self.operations = MAX_NODES


class _TookTooLong(BaseException):
    """Ends a run from within. Not an Exception: `forward` must not take it for one of its own."""


class _Run:
    """Runs the model once and keeps operations, outputs of submodules, and what `forward` assigned."""

    def __init__(self, held, inputs, limits=None):
        self.held = held
        self.limits = limits or _Limits()
        self.left_out = []
        self.seed = getattr(inputs, "seed", None)
        self.args, self.kwargs = _arguments(inputs)
        self.inputs = list(_tensors_in((self.args, self.kwargs) if self.kwargs else self.args))
        if not self.inputs:
            raise ValueError("tenon_blueprint: inputs hold no tensor")
        first = self.inputs[0][1]
        self.batch = first.shape[0] if first.dim() else None
        wrapping = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
        self.wrappers = {path for path, module in held.once if isinstance(module, wrapping)}
        self.assigned = {}
        self.options = {}  # module -> its options before the run
        self.stack = []
        self.rows = []  # outputs of submodules
        self.samples = []
        self.sampled = self.sample = None  # the last one: of which tensor, after how many calls; its module returns it, too
        self.done = set()
        self.recorder = _Recorder(self)
        self.is_deterministic = True
        self.outputs = []
        self.has_graph = self.has_probe = False
        size = _bytes_of(self.inputs)
        if size > self.limits.bytes:
            self.left_out.append("operations and probe: the inputs have {} bytes, the limit is {}".format(
                size, self.limits.bytes))
            return
        self._run()

    def _run(self):
        self.started = time.monotonic()
        try:
            with _Undisturbed(self.held, [tensor for _, tensor in self.inputs]) as self.undisturbed:
                self._run_undisturbed()
        except _TookTooLong:
            self.left_out.append("operations and probe: the run took {:.1f} s, the limit is {:g} s".format(
                time.monotonic() - self.started, self.limits.seconds))
        if not self.has_graph:
            return
        if self.recorder.is_full:
            self.left_out.append("operations: only the first {} are written down".format(self.limits.operations))
        size = _bytes_of(self.inputs) + _bytes_of(self.outputs)
        self.has_probe = size <= self.limits.bytes
        if not self.has_probe:
            self.left_out.append("probe: inputs and outputs have {} bytes, the limit is {}".format(
                size, self.limits.bytes))

    def _run_undisturbed(self):
        self.options = {module: _Options(module) for module in self.held.modules}
        before = _random_states()
        try:
            with self.recorder, _SeenIndexing():
                self.outputs = self._watched_call()
            self.check_time()
            self.recorder.finish(self.outputs)
            self.has_graph = True
            self.rows = [_with_sample(row, elements) for row, elements in self.samples]
            took = time.monotonic() - self.started
            if before != _random_states():
                self.is_deterministic = 2 * took <= self.limits.seconds and self._repeats()
        finally:
            self._note_changed()

    def check_time(self):
        if time.monotonic() - self.started > self.limits.seconds:
            raise _TookTooLong()

    def _repeats(self):
        self.undisturbed.give_back()
        again = [_digest(tensor) for _, tensor in self._call()]
        return again == [_digest(tensor) for _, tensor in self.outputs]

    def members(self):
        """What the run adds to a blueprint."""
        members = {}
        if self.has_graph:
            members["graph"] = self.graph()
        if self.has_probe:
            members["probe"] = self.probe()
        if self.left_out:
            members["left_out"] = self.left_out
        return members

    def _note_changed(self):
        """Lists and dicts that a run changed in place are results, too."""
        for module, before in self.options.items():
            self.assigned.setdefault(id(module), set()).update(before.changed(module))

    def _call(self):
        return list(_tensors_in(self.held.model(*self.args, **self.kwargs)))

    def _watched_call(self):
        """Calls and assignments of all modules pass by here: quicker than two hooks in each module, and their own hooks
        are theirs."""
        call, set_attribute = torch.nn.Module.__call__, torch.nn.Module.__setattr__
        watched = {id(module): path for path, module in self.held.once if not isinstance(module, torch.jit.ScriptModule)}

        def noting_call(module, *args, **kwargs):
            path = watched.get(id(module))
            if path is None:
                return call(module, *args, **kwargs)
            self.stack.append(path)
            try:
                output = call(module, *args, **kwargs)
            finally:
                self.stack.pop()
            if path and path not in self.done:
                self._keep_sample(path, output)
            return output

        def noting_setattr(module, name, value):
            self.assigned.setdefault(id(module), set()).add(name)
            set_attribute(module, name, value)

        torch.nn.Module.__call__, torch.nn.Module.__setattr__ = noting_call, noting_setattr
        try:
            return self._call()
        finally:
            torch.nn.Module.__call__, torch.nn.Module.__setattr__ = call, set_attribute

    def _keep_sample(self, path, output):
        self.done.add(path)
        for _, tensor in _tensors_in(output):
            if self.sampled != (id(tensor), self.recorder.calls):
                # one visit to the recorder, which takes it without writing it down, and not one for each property
                self.sample = handle_torch_function(_taken_sample, (tensor,), tensor)
                self.sampled = id(tensor), self.recorder.calls
            form, elements = self.sample
            self.samples.append((dict(form, name=path), elements))  # numbers when the run is over
            break

    @property
    def module(self):
        return self.stack[-1] if self.stack else ""

    def graph(self):
        nodes, edges = [], []
        for node in self.recorder.nodes:
            sources = [int(operand[5:].partition(".")[0]) for operand in node["operands"]
                       if operand.startswith("node:")]
            edges += [[source, node["id"]] for source in sorted(set(sources))]
            weights = [operand[7:] for operand in node["operands"] if operand.startswith("tensor:")]
            nodes.append(dict(node, parameters=weights) if weights else node)
        return {"recorder": "torch_function", "batch": self.batch, "nodes": nodes, "edges": edges}

    def probe(self):
        inputs = [self._input_row(name, tensor) for name, tensor in self.inputs]
        return {
            "seed": self.seed, "deterministic": self.is_deterministic, "findings": self._findings(), "accepted": "",
            "inputs": inputs,
            "outputs": [self._output_row(name, tensor) for name, tensor in self.outputs],
            "modules": self.rows,
            "state": _fingerprints(self.held.state)}

    def _output_row(self, name, tensor):
        row = dict(_sample_row(tensor), name=name, digest=_digest(tensor))
        row["scale"] = max(row["scale"], _largest_magnitude(tensor))
        inputs = [_sample_row(tensor) for _, tensor in self.inputs]
        row["tolerance"] = _tolerance(row["dtype"], row["scale"], _inner_scale(row, self.rows, inputs))
        return row

    @staticmethod
    def _input_row(name, tensor):
        row = dict(_sample_row(tensor), name=name, digest=_digest(tensor))
        if 0 < tensor.numel() <= WHOLE_INPUT_ELEMENTS:
            row["values"] = _doubles(_dense(tensor).reshape(-1))
        return row

    def _findings(self):
        findings = []
        for name, tensor in self.outputs:
            if self.batch is not None and tensor.dim() > 0 and tensor.shape[0] != self.batch:
                findings.append("{} rows in, {} rows out (output {})".format(self.batch, tensor.shape[0], name))
        return findings


def _arguments(inputs):
    if isinstance(inputs, torch.Tensor):
        return (inputs,), {}
    if isinstance(inputs, dict):
        return (), dict(inputs)
    return tuple(inputs), {}


def _tensors_in(value, name="", depth=0):
    """(name, tensor) of a tensor, or of those in tuples, lists, dicts and data classes: `0`, `logits`, `0.1`."""
    if isinstance(value, torch.Tensor):
        yield name or "0", value
        return
    if depth >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    elif hasattr(value, "__dataclass_fields__"):
        items = [(field, getattr(value, field, None)) for field in value.__dataclass_fields__]
    else:
        return
    for key, item in items:
        for pair in _tensors_in(item, "{}.{}".format(name, key) if name else str(key), depth + 1):
            yield pair


def _bytes_of(named):
    return sum(tensor.numel() * tensor.element_size() for _, tensor in named)


class _Undisturbed:
    """Evaluation mode without gradients; afterwards members, buffers and random generators are as before, also where the
    run raises: what was begun is undone in the reverse order, whatever becomes of the other steps.

    Flags are set one by one: an own `train()` or `eval()` may do more, as merging weights. What an operation is about to
    change in place is kept by keep().
    """

    def __init__(self, held, inputs):
        self.modules = held.modules
        self.registered = held.tensors
        self.inputs = inputs

    def __enter__(self):
        members = [(module, dict(vars(module))) for module in self.modules]
        self.empty = []  # containers without content: most are tables of hooks
        self.containers = {}
        for module in self.modules:
            for value in vars(module).values():
                if type(value) in _CONTAINERS:
                    if value:
                        self._keep_container(value, 0)
                    else:
                        self.empty.append(value)
        held = self.inputs + [tensor for _, tensor, _, _ in self.registered]
        held += [value for _, values in members for value in values.values() if isinstance(value, torch.Tensor)]
        self.held = {}  # memory -> the tensors in it
        for tensor in held:
            self.held.setdefault(_memory(tensor), []).append(tensor)
        self.kept = {}  # memory -> pairs of a tensor and its values before
        for _, buffer, is_parameter, _ in self.registered:
            if not is_parameter:
                self.keep(buffer)
        with contextlib.ExitStack() as stack:
            stack.callback(random.setstate, random.getstate())
            if "numpy" in sys.modules:
                stack.callback(sys.modules["numpy"].random.set_state, sys.modules["numpy"].random.get_state())
            stack.enter_context(torch.random.fork_rng())
            stack.enter_context(torch.no_grad())
            stack.callback(self.give_back)
            stack.callback(self._set_modes, [(module, module.training) for module in self.modules])
            stack.callback(self._give_members_back, members)
            for module in self.modules:
                module.training = False
            self.undo = stack.pop_all()
        return self

    def keep(self, tensor):
        """Remembers the values of what the model holds in this tensor's memory."""
        memory = _memory(tensor)
        if memory is None or memory in self.kept or memory not in self.held:
            return
        self.kept[memory] = [(held, held.detach().clone()) for held in self.held[memory]]

    def give_back(self):
        for held, before in itertools.chain(*self.kept.values()):
            if held.shape == before.shape:
                held.detach().copy_(before)
            else:  # resized by the run
                held.data = before.clone()

    def _keep_container(self, value, depth):
        if type(value) not in _CONTAINERS or id(value) in self.containers or depth >= MAX_DEPTH:
            return
        self.containers[id(value)] = (value, type(value)(value))
        for item in list(value.values() if isinstance(value, dict) else value)[:4096]:
            self._keep_container(item, depth + 1)

    def __exit__(self, *problem):
        self.undo.__exit__(*problem)

    def _give_members_back(self, members):
        for container in self.empty:
            if container:
                container.clear()
        for container, before in self.containers.values():
            _refill(container, before)
        for module, before in members:
            _refill(vars(module), before)

    @staticmethod
    def _set_modes(modes):
        for module, mode in modes:
            if module.training != mode:  # TorchScript keeps the flag elsewhere
                module.training = mode


_CONTAINERS = frozenset((list, dict, set, collections.OrderedDict, collections.deque))


def _refill(container, before):
    """Gives a container its old content back, in place and only where it changed."""
    if isinstance(container, dict):
        same = list(container) == list(before) and all(container[key] is value for key, value in before.items())
    elif isinstance(container, set):
        same = container == before
    else:
        same = len(container) == len(before) and all(a is b for a, b in zip(container, before))
    if not same:
        container.clear()
        (container.update if isinstance(container, (dict, set)) else container.extend)(before)


def _memory(tensor):
    """The address where a tensor's storage begins, so equal for tensors and their views; None where there is none."""
    try:
        address = tensor.data_ptr()
        return address - tensor.storage_offset() * tensor.element_size() if address else None
    except (RuntimeError, NotImplementedError):
        return None


def _random_states():
    states = [_digest(torch.get_rng_state()), random.getstate()]
    if torch.cuda.is_available():
        states += [_digest(state) for state in torch.cuda.get_rng_state_all()]
    if "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        state = numpy.random.get_state()
        states.append((state[0], state[1].tobytes()) + tuple(state[2:]))
    return states


class _Recorder(TorchFunctionMode):
    """Notes every outermost call of a torch function: what torch calls inside one is part of it."""

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.nodes = []
        self.calls = 0
        self.is_full = False
        self.known = {}  # id of a tensor -> (weak reference, operand)
        for number, (_, tensor) in enumerate(run.inputs):
            self._know(tensor, "input:{}".format(number))
        for name, tensor, _, _ in run.held.tensors:
            if name in run.held.state and self._operand(tensor) == "unknown":
                self._know(tensor, "tensor:" + name)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is _taken_sample:
            return func(*args)
        kwargs = kwargs or {}
        self.calls += 1
        self.run.check_time()
        before = None if self.run.module in self.run.wrappers else _Call(self, func, args, kwargs)
        for tensor in _written(func, args, kwargs):
            self.run.undisturbed.keep(tensor)
        result = func(*args, **kwargs)
        if before is not None:
            self._note(before, result)
        return result

    def _know(self, tensor, operand):
        self.known[id(tensor)] = (weakref.ref(tensor), operand)

    def _operand(self, tensor):
        reference, operand = self.known.get(id(tensor), (None, "unknown"))
        return operand if reference is not None and reference() is tensor else "unknown"

    def _note(self, call, result):
        results = [result] if isinstance(result, torch.Tensor) else [tensor for _, tensor in _tensors_in(result)]
        if not results and call.op == "setitem" and isinstance(call.first, torch.Tensor):
            results = [call.first]
        if not results:
            return
        if len(self.nodes) >= self.run.limits.operations:
            self.is_full = True
            return
        if call.is_transparent(results[0]):
            self._know(results[0], call.operands[0])
            return
        node = {"id": len(self.nodes), "op": call.op, "module": self.run.module, "args": call.arguments,
                "operands": call.operands, "output": list(results[0].shape)}
        self.nodes.append(node)
        for number, tensor in enumerate(results):
            self._know(tensor, "node:{}".format(node["id"]) + (".{}".format(number) if number else ""))

    def finish(self, outputs):
        """A last node says what the run returns: names as arguments, results as operands."""
        self.nodes.append({"id": len(self.nodes), "op": "output", "module": "", "args": [name for name, _ in outputs],
                           "operands": [self._operand(tensor) for _, tensor in outputs],
                           "output": list(outputs[0][1].shape) if outputs else []})


class _SeenIndexing:
    """Before torch 2, `x[0]` and `x[1:]` pass by every mode, and `x[(0,)]`, which means the same, does not."""

    def __enter__(self):
        self.names = ("__getitem__", "__setitem__") if int(torch.__version__.split(".")[0]) < 2 else ()
        for name in self.names:
            setattr(torch.Tensor, name, self._with_tuple(getattr(torch.Tensor, name)))

    def __exit__(self, *problem):
        for name in self.names:
            delattr(torch.Tensor, name)  # what torch.Tensor inherits shows again

    @staticmethod
    def _with_tuple(method):
        @functools.wraps(method)
        def indexed(tensor, index, *value):
            if isinstance(index, torch.Tensor):
                index = (index, ...)  # a tensor alone in a tuple passes by, too
            return method(tensor, index if isinstance(index, tuple) else (index,), *value)
        return indexed


class _Call:
    """One call, written down before it runs: an operation in place changes what its operand is."""

    def __init__(self, recorder, func, args, kwargs):
        self.recorder = recorder
        self.operands = []
        self.first = None
        self.op = _op_name(func)
        self.arguments = []
        if self.op in ("getitem", "setitem") and isinstance(args[1], tuple) and len(args[1]) == 1:
            args = (args[0], args[1][0], *args[2:])
        for value in args:
            self._add(value)
        for name in sorted(kwargs):
            if name not in ("inplace", "device", "out", "generator", "layout", "pin_memory", "requires_grad"):
                self._add(kwargs[name], name)
        if self.op in _SHAPE_OPS:
            _mark_batch(self.arguments, recorder.run.batch)

    def is_transparent(self, result):
        if self.first is None or not isinstance(self.first, torch.Tensor):
            return False
        unchanged = self.first.dtype == result.dtype and self.first.shape == result.shape
        return unchanged and (self.op in _TRANSPARENT or self.op in _CASTS)

    def _add(self, value, name=None):
        if isinstance(value, torch.Tensor):
            self._add_operand(value)
        elif not isinstance(value, torch.device):
            inner = list(_tensors_in(value)) if isinstance(value, (list, tuple, dict)) else []
            for _, tensor in inner:
                self._add_operand(tensor)
            if not inner:
                self._add_argument(value, name)
            elif any(not isinstance(item, torch.Tensor) for item in value):
                self._add_argument([None if isinstance(x, torch.Tensor) else x for x in value], name)

    def _add_operand(self, tensor):
        self.first = tensor if self.first is None else self.first
        self.operands.append(self.recorder._operand(tensor))

    def _add_argument(self, value, name):
        value = _argument(value)
        self.arguments.append(value if name is None else {name: value})


def _written(func, args, kwargs):
    """Tensors that a call is about to change in place."""
    name = getattr(func, "__name__", "")
    is_inplace = (name.endswith("_") and not name.endswith("__")) or kwargs.get("inplace")
    if is_inplace or name == "__setitem__" or (name.startswith("__i") and name.endswith("__")):
        return [value for value in args[:1] if isinstance(value, torch.Tensor)]
    values = [kwargs.get("out")]
    if name in ("embedding", "embedding_bag") and kwargs.get("max_norm", args[3] if len(args) > 3 else None) is not None:
        values += [*args[:2], kwargs.get("weight")]  # rows that are too long are shortened in the table
    return [value for value in values if isinstance(value, torch.Tensor)]


def _op_name(func):
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__"):  # a property of a tensor, as x.T
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    name = name.strip("_") if name.startswith("__") else name
    return name.rstrip("_") if name != "requires_grad_" else name


def _argument(value):
    if type(value) in _FINITE:
        return value
    if isinstance(value, slice):
        return ":".join("" if part is None else str(part) for part in (value.start, value.stop, value.step))
    if value is Ellipsis:
        return "..."
    if isinstance(value, (list, tuple)):
        return [_argument(item) for item in value[:4096]]
    if isinstance(value, torch.Size):
        return list(value)
    return _plain(value, "<" + type(value).__name__ + ">")


def _mark_batch(arguments, batch):
    """The first extent of a shape is the batch's where it is equal; a batch of one looks like any other one."""
    if batch is None or batch < 2:
        return
    for place, value in enumerate(arguments):
        if isinstance(value, list) and value and value[0] == batch:
            arguments[place] = ["N"] + value[1:]
        elif value == batch and not isinstance(value, bool):
            arguments[place] = "N"
        return


# ---- values ---------------------------------------------------------------------------------------------------------


def _has_values(tensor):
    return not tensor.is_meta and tensor.layout == torch.strided and not tensor.is_quantized


def _dense(tensor):
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.resolve_conj().resolve_neg()


def _digest(tensor):
    """SHA-256 of the dense little-endian bytes; "" for what has none or is very large."""
    size = tensor.numel() * tensor.element_size()
    if tensor.is_meta or size > DIGEST_BYTES or sys.byteorder != "little":
        return ""
    dense = _dense(tensor).cpu().contiguous()
    data = (ctypes.c_char * size).from_address(dense.data_ptr()) if size else b""  # in place: no copy is made
    return "sha256:" + hashlib.sha256(data).hexdigest()


@functools.lru_cache(maxsize=64)  # a model has few sizes of tensors
def _places(count, most, device):
    k = min(count, most)
    return torch.arange(k, device=device) * count // max(k, 1)


def _elements(tensor, most):
    """Elements floor(i * n / k) of the n in row-major order, k = min(n, most), as a tensor of one dimension."""
    places = _places(tensor.numel(), most, tensor.device)
    if tensor.layout == torch.strided and not tensor.is_quantized:
        try:
            return torch.take(tensor.detach(), places)
        except (RuntimeError, NotImplementedError):  # a dtype that take() does not know, as float8
            pass
    return _dense(tensor).reshape(-1)[places]


def _as_real(tensor):
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.to(torch.complex128)).reshape(-1)
    return tensor.to(torch.float64)


def _doubles(tensor):
    if tensor.dtype in (torch.float32, torch.float64):
        return _numbers(tensor.tolist())  # Python's floats hold them as they are
    return _numbers(_as_real(tensor).tolist())


def _numbers(values):
    """Python's floats as JSON takes them; a sum that is finite has finite terms only."""
    return values if math.isfinite(sum(values)) else [_number(value) for value in values]


def _form(tensor):
    return {"dtype": _dtype_name(tensor.dtype), "shape": list(tensor.shape)}


def _taken_sample(tensor):
    return _form(tensor), None if tensor.is_meta else _elements(tensor, SAMPLE_ELEMENTS)


def _sample_row(tensor):
    return _with_sample(*_taken_sample(tensor))


def _with_sample(row, elements):
    row["sample"] = [] if elements is None else _doubles(elements)
    try:
        row["scale"] = max(map(abs, row["sample"]), default=0.0)
    except TypeError:  # "nan" and "inf" are texts
        row["scale"] = max((abs(value) for value in row["sample"] if not isinstance(value, str)), default=0.0)
    return row


def _fingerprints(state):
    """Rows of `state`: sums over elements and over their magnitudes. Tensors of one size are summed together."""
    groups = {}
    for name, tensor in state.items():
        if _has_values(tensor):
            values = _elements(tensor, FINGERPRINT_ELEMENTS)
            if values.dtype != torch.float32:  # float32, the usual one, is widened when all are together
                values = _as_real(values)
            groups.setdefault((values.numel(), values.device, values.dtype), []).append((name, values))
    sums = {}
    for rows in groups.values():
        stacked = torch.stack([values for _, values in rows]).to(torch.float64)
        both = zip(stacked.sum(1).tolist(), stacked.abs().sum(1).tolist())
        sums.update((name, pair) for (name, _), pair in zip(rows, both))
    return [{"name": name, "sum": _number(sums[name][0]), "magnitude": _number(sums[name][1])}
            for name in state if name in sums]


def _largest_magnitude(tensor):
    """The largest finite magnitude of all elements."""
    if not _has_values(tensor) or tensor.numel() == 0:
        return 0.0
    values = _dense(tensor)
    if values.is_complex():
        values = torch.view_as_real(values.to(torch.complex128))
    if values.dtype not in (torch.float32, torch.float64):  # abs and amax know not every small type
        values = values.to(torch.float64)
    largest = float(values.abs().amax())
    if math.isfinite(largest):
        return largest
    values = values.abs()[torch.isfinite(values)]
    return float(values.amax()) if values.numel() else 0.0


_EPS = {"float64": 2.0 ** -52, "complex128": 2.0 ** -52, "float32": 2.0 ** -23, "complex64": 2.0 ** -23,
        "float16": 2.0 ** -10, "complex32": 2.0 ** -10, "bfloat16": 2.0 ** -7}


def _eps(dtype):
    return _EPS.get(dtype, 0.25 if dtype.startswith("float8") else 0.0)


def _tolerance(dtype, scale, inner=0.0):
    """Half of the digits, or what is lost where larger terms cancel. See docs/formats/blueprint.md."""
    eps = _eps(dtype)
    return max(math.sqrt(eps) * scale, min(256 * eps, math.sqrt(eps) / 2) * inner)


def _inner_scale(row, before, inputs):
    """The size of the terms that `row` was made of: the largest scale of the last four outputs of submodules before it
    that do not hold it itself; of the inputs as well where there are fewer."""
    inner, counted, last = 0.0, 0, row["sample"]
    for module in reversed(before):
        if counted == 4:
            return inner
        if module["sample"] in (row["sample"], last) or _eps(module["dtype"]) == 0:
            continue
        inner, last, counted = max(inner, module["scale"]), module["sample"], counted + 1
    if counted < 4:
        inner = max([inner] + [source["scale"] for source in inputs if _eps(source["dtype"]) > 0])
    return inner


# ---- environment ----------------------------------------------------------------------------------------------------


def _environment(state):
    """What can change results. Never a host name, a user name or a path."""
    on_cuda = any(tensor.is_cuda for tensor in state.values())
    built = torch.__config__.show()
    compiler = re.search(r"(GCC|MSVC|[Cc]lang)[ :]+([\d.]+)", built)
    capability = re.search(r"CPU capability usage: (\S+)", built)
    return {
        "framework": "torch " + torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "compiler": compiler.group(1) + " " + compiler.group(2) if compiler else None,
        "os": platform.system() + " " + platform.machine(),
        "cpu": capability.group(1) if capability else None,
        "cuda": torch.version.cuda if on_cuda else None,
        "cudnn": str(torch.backends.cudnn.version()) if on_cuda else None,
        "cudnn_benchmark": torch.backends.cudnn.benchmark if on_cuda else None,
        "tf32": torch.backends.cuda.matmul.allow_tf32 if on_cuda else None,
        "default_dtype": _dtype_name(torch.get_default_dtype()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
    }


# ---- digests --------------------------------------------------------------------------------------------------------


def _digests(document):
    """Structure and architecture; docs/formats/blueprint.md says over which lines."""
    structure = _sha256(_sorted("{} {} [{}] {}\n".format(
        row["name"], row["dtype"], ",".join(map(str, row["shape"])), row["tied_to"] or "")
        for row in document["tensors"]))
    frames = {row["path"].rpartition(".")[0] for row in document["modules"] if row["path"]}
    text = structure + "\n" + _sorted("{} {} {}\n".format(
        row["path"], "-" if row.get("custom", False) and row["path"] in frames else row["type"],
        _to_json({name: value for name, value in row["options"].items() if name != "inplace"}))
        for row in document["modules"])
    for node in document.get("graph", {}).get("nodes", []):
        text += "{} {} {} {}\n".format(node["op"], node["module"], _to_json(node["args"]), _to_json(node["operands"]))
    return {"structure": "sha256:" + structure, "architecture": "sha256:" + _sha256(text)}


def _sorted(lines):
    return "".join(sorted(lines, key=str.encode))


def _sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


# ---- the parent -----------------------------------------------------------------------------------------------------


def _set_parent(document, parent):
    before = parent if isinstance(parent, dict) else _stored_blueprint(os.fspath(parent))
    name = "" if isinstance(parent, dict) else os.path.basename(os.fspath(parent))
    if not isinstance(before, dict) or before.get("schema") != SCHEMA or not isinstance(before.get("tensors"), list):
        raise ValueError("tenon_blueprint: the parent is no blueprint of schema " + SCHEMA)
    document["parents"] = [{"digest": _document_digest(before), "file": name}]
    document["changes"] = _changes_since(before, document)


def _stored_blueprint(path):
    """The document in a checkpoint, beside it, or in a `.blueprint.json` file; the one inside counts first."""
    with open(path, "rb") as source:
        start = source.read(9)
    text = None
    if start[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            records = [name for name in archive.namelist() if name.endswith("/tenon.blueprint.json")]
            text = archive.read(records[0]).decode() if records else None
    elif start.lstrip()[:1] == b"{":
        with open(path, encoding="utf-8") as source:
            text = source.read()
    elif start[8:9] == b"{":
        with open(path, "rb") as source:
            (size,) = struct.unpack("<Q", source.read(8))
            text = json.loads(source.read(min(size, os.path.getsize(path))).decode()).get("__metadata__", {}).get(
                "tenon.blueprint")
    if text is None and os.path.exists(path + ".blueprint.json"):
        with open(path + ".blueprint.json", encoding="utf-8") as source:
            text = source.read()
    if text is None:
        raise ValueError("tenon_blueprint: the parent " + path + " has no blueprint in it or beside it")
    return json.loads(text)


def _document_digest(document):
    """Identity of a whole blueprint, as tenon takes it; docs/formats/blueprint.md, "Digests", says over what."""
    return "sha256:" + _sha256(_to_json(_with_bits(_canonical(document))))


def _with_bits(value):
    """Numbers that are no integers become the text of their bits: how many digits one prints is left out."""
    if isinstance(value, dict):
        return {name: _with_bits(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_bits(item) for item in value]
    is_wide = isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < (1 << 64)
    return "f:" + struct.pack(">d", value).hex() if isinstance(value, float) or is_wide else value


def _canonical(document):
    """What a reader of the schema keeps, in the form in which it would be written again."""
    def kept(row, always, sometimes=()):
        return {**{name: row.get(name) for name in always}, **{name: row[name] for name in sometimes if row.get(name)}}

    result = {"schema": SCHEMA, "class": document.get("class") or None, "tensors": []}
    for row in document["tensors"]:
        tensor = dict(kept(row, ("name", "dtype", "shape"), ("role", "stride")), tied_to=row.get("tied_to") or None)
        if row.get("requires_grad") is not None:
            tensor["requires_grad"] = row["requires_grad"]
        result["tensors"].append(tensor)
    modules = [dict(kept(row, ("path", "type"), ("custom", "same_as")), options=row.get("options") or {})
               for row in document.get("modules", [])]
    lists = {"modules": modules, "unsaved": [kept(row, ("name", "why")) for row in document.get("unsaved", [])],
             "parents": [kept(row, ("digest", "file")) for row in document.get("parents", [])],
             "changes": document.get("changes", []), "left_out": document.get("left_out", [])}
    result.update({name: rows for name, rows in lists.items() if rows})
    result.update(kept(document, (), ("source", "environment", "training")))
    groups = (document.get("optimizer") or {}).get("groups")
    if groups:
        result["optimizer"] = {"groups": [kept(group, ("options", "parameters")) for group in groups]}
    if document.get("graph"):
        result["graph"] = _canonical_graph(document["graph"])
    if document.get("probe"):
        result["probe"] = _canonical_probe(document["probe"])
    result["digests"] = _digests({"modules": [], **result})
    return result


def _canonical_graph(graph):
    nodes, edges = [], []
    for number, node in enumerate(graph.get("nodes", [])):
        operands = node.get("operands", ["tensor:" + name for name in node.get("parameters", [])])
        edges += [[int(operand[5:]), number] for operand in operands if operand.startswith("node:")]
        nodes.append({"id": number, "op": node["op"], "module": node.get("module") or "", "args": node.get("args", []),
                      "operands": operands, "output": node.get("output"),
                      "parameters": [operand[7:] for operand in operands if operand.startswith("tensor:")]})
    return {"recorder": graph.get("recorder") or "", "batch": graph.get("batch"), "nodes": nodes, "edges": edges}


def _canonical_probe(probe):
    def number(value):
        return value if isinstance(value, str) else float(value)

    def rows(name):
        return [row(index, tensor) for index, tensor in enumerate(probe.get(name, []))]

    def row(index, tensor):
        kept = {"name": tensor.get("name", str(index)), "dtype": tensor["dtype"], "shape": tensor["shape"]}
        if tensor.get("digest"):
            kept["digest"] = tensor["digest"]
        for name in ("sample", "values"):
            if tensor.get(name):
                kept[name] = [number(value) for value in tensor[name]]
        if tensor.get("sample"):
            kept["scale"] = number(tensor.get("scale", 0))
        if tensor.get("tolerance") is not None:
            kept["tolerance"] = number(tensor["tolerance"])
        return kept

    state = [{"name": print_["name"], "sum": number(print_.get("sum", 0)),
              "magnitude": number(print_.get("magnitude", 0))} for print_ in probe.get("state", [])]
    return {"seed": probe.get("seed"), "inputs": rows("inputs"), "outputs": rows("outputs"), "modules": rows("modules"),
            "state": state, "deterministic": probe.get("deterministic", True), "findings": probe.get("findings", []),
            "accepted": probe.get("accepted", "")}


def _changes_since(before, after):
    """What `after` has that `before` had not, one clause each, in the words of `tenon log`."""
    return (_tensor_changes(before, after) + _module_changes(before, after) + _tie_changes(before, after)
            + _operation_changes(before, after) + _other_changes(before, after))


def _tensor_changes(before, after):
    old, new = ({row["name"]: row for row in document["tensors"]} for document in (before, after))
    both = [(name, old[name], row) for name, row in new.items() if name in old]

    def differing(field):
        return ["{} {} to {}".format(name, a[field], b[field]) for name, a, b in both if a[field] != b[field]]

    def grad(was, becomes):
        return [name for name, a, b in both if a.get("requires_grad") is was and b.get("requires_grad") is becomes]

    lists = (("added", [name for name in new if name not in old]),
             ("removed", [name for name in old if name not in new]),
             ("changed dtype", differing("dtype")), ("changed shape", differing("shape")),
             ("frozen", grad(True, False)), ("no longer frozen", grad(False, True)))
    return ["{} {}: {}{}".format(_plural(len(names), "tensor"), what, ", ".join(names[:3]),
                                 " and {} more".format(len(names) - 3) if len(names) > 3 else "")
            for what, names in lists if names]


def _plural(count, noun):
    return "{} {}{}".format(count, noun, "" if count == 1 else "s")


def _module_changes(before, after):
    old, new = ({row["path"]: row for row in document.get("modules", [])} for document in (before, after))
    if not old or not new:
        return []
    frames = [{path.rpartition(".")[0] for path in rows if path} for rows in (old, new)]
    clauses = []
    for path, row in old.items():
        place = path or "the model"
        if path not in new:
            clauses.append("module {} removed: {}".format(place, _module_text(row["type"], row.get("options", {}))))
            continue
        other = new[path]
        is_frame = all(path in paths and (side.get("custom") or not path) for paths, side in zip(frames, (row, other)))
        if row["type"] != other["type"] and not is_frame:
            clauses.append("{}: class changed from {} to {}".format(
                place, *(_module_text(side["type"], side.get("options", {})) for side in (row, other))))
            continue
        clauses += _option_changes(place, row, other)
    return clauses + ["module {} added: {}".format(path, _module_text(row["type"], row.get("options", {})))
                      for path, row in new.items() if path not in old]


def _option_changes(place, row, other):
    a, b = row.get("options", {}), other.get("options", {})
    names = sorted(name for name in a.keys() | b.keys() if name != "inplace" and (
        name not in a or name not in b or not _same_option(a[name], b[name])))
    if not names:
        return []

    def shown(side, options):
        return _module_text(side["type"], {name: "none" if options[name] is None else options[name]
                                           for name in names if name in options})

    what = "option " + names[0] if len(names) == 1 else "{} options".format(len(names))
    return ["{}: {} changed from {} to {}".format(place, what, shown(row, a), shown(other, b))]


def _same_option(a, b):
    """2 and [2, 2] say the same, so do 1 and 1.0."""
    if isinstance(a, list) != isinstance(b, list):
        items, one = (a, b) if isinstance(a, list) else (b, a)
        return bool(items) and all(_same_option(item, one) for item in items)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same_option, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _module_text(kind, options):
    return kind + "(" + ", ".join(name + "=" + _value_text(value) for name, value in sorted(options.items())
                                  if value is not None and name != "inplace") + ")"


def _value_text(value):
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if len(value) > 1 and not isinstance(value[0], (str, list)) and all(item == value[0] for item in value):
            return _to_json(value[0])
        return "[" + ", ".join(map(_value_text, value)) + "]"
    return _to_json(value)


def _tie_changes(before, after):
    def text(row):
        return "tied to " + row["tied_to"] if row.get("tied_to") else "a tensor of its own"

    old = {row["name"]: row for row in before["tensors"]}
    return ["{}: tie of {} changed from {} to {}".format(
        row["name"].rpartition(".")[0] or "the model", row["name"], text(old[row["name"]]), text(row))
        for row in after["tensors"] if row["name"] in old and text(old[row["name"]]) != text(row)]


def _operation_changes(before, after):
    """Operations of modules that both have; a run of another recorder compares with nothing."""
    graphs = before.get("graph") or {}, after.get("graph") or {}
    if not graphs[0] or not graphs[1] or graphs[0].get("recorder") != graphs[1].get("recorder"):
        return []
    paths = [{row["path"]: _module_text(row["type"], row.get("options", {})) for row in document.get("modules", [])}
             for document in (before, after)]
    told = {path for path in paths[0].keys() | paths[1].keys() if path and paths[0].get(path) != paths[1].get(path)}
    runs = [[node for node in graph.get("nodes", []) if node.get("module") not in told] for graph in graphs]
    keys = [[(node["op"], node.get("module") or "", tuple(node.get("parameters", ()))) for node in run] for run in runs]
    same_batch = graphs[0].get("batch") == graphs[1].get("batch")
    clauses = []
    for step, a, a_end, b, b_end in difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if step != "equal":
            gone, come = [(key, "removed") for key in keys[0][a:a_end]], [(key, "added") for key in keys[1][b:b_end]]
            clauses += ["{}: operation {} {}".format(key[1] or "the model", key[0], what) for key, what in gone + come]
        elif same_batch:
            clauses += ["{}: operation {} changed from {} to {}".format(
                x.get("module") or "the model", x["op"], _to_json(x["args"]), _to_json(y["args"]))
                for x, y in zip(runs[0][a:a_end], runs[1][b:b_end]) if x["args"] != y["args"]]
    return clauses


def _other_changes(before, after):
    """The optimizer's groups, and what of the environment matters."""
    clauses = []
    groups = [len((document.get("optimizer") or {}).get("groups", [])) for document in (before, after)]
    if 0 not in groups and groups[0] != groups[1]:
        clauses.append("{} became {}".format(_plural(groups[0], "optimizer group"), groups[1]))
    old, new = before.get("environment") or {}, after.get("environment") or {}
    for name in ("framework", "default_dtype", "cuda", "tf32", "deterministic", "cudnn_benchmark"):
        a, b = old.get(name), new.get(name)
        is_other = a is not None and b is not None and a != b
        if name == "framework" and is_other:
            is_other = a.split(".")[:2] != b.split(".")[:2]
        if name == "cuda":
            is_other = bool(old) and bool(new) and (a is None) != (b is None)
        if is_other:
            clauses.append("{} changed from {} to {}".format(name, *("none" if value is None else _value_text(value)
                                                                     for value in (a, b))))
    return clauses


# ---- files ----------------------------------------------------------------------------------------------------------


def _replace(path, fill):
    """`fill(out)` writes a temporary file beside what `path` leads to, which is synced and renamed. An error leaves
    nothing; mode, owner and links stay."""
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, _temporary_name(os.path.basename(path)))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o600)  # nobody else's to read before it has the old file's mode
    try:
        with os.fdopen(handle, "w+b") as out:
            fill(out)
            out.flush()
            _keep_attributes(path, out)
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder_handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder_handle)
        finally:
            os.close(folder_handle)


def _temporary_name(name):
    """As tenon's own saves are called while they are written, so that its next one removes what a killed process left:
    `.<name>.tenon-<boot>-<process>-<start>-<number>.tmp`."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().replace("-", "")[:12]
        with open("/proc/self/stat") as file:
            start = file.read().rpartition(")")[2].split()[19]
    except OSError:
        boot, start = "unknown", "0"
    return ".{}.tenon-{}-{}-{}-{}.tmp".format(name[:100], boot, os.getpid(), start, os.urandom(6).hex())


def _keep_attributes(path, out):
    """Mode and owner of the old file, if there is one; a new file obeys the umask."""
    if not hasattr(os, "fchmod"):
        return
    old = os.stat(path) if os.path.exists(path) else None
    if old is not None and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        try:
            os.fchown(out.fileno(), old.st_uid, old.st_gid)
        except PermissionError:
            pass  # another's file in a folder of ours: the new one is ours
    os.fchmod(out.fileno(), old.st_mode & 0o7777 if old is not None else 0o666 & ~_umask())


def _umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _copy(source, out):
    while True:
        block = source.read(1 << 22)
        if not block:
            return
        out.write(block)


def _embed_zip(path, document):
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as problem:
        raise ValueError("tenon_blueprint: " + path + " is no whole zip archive: " + str(problem)) from problem
    roots = {name.partition("/")[0] for name in names if name.endswith("/data.pkl")}
    if len(roots) != 1:
        raise ValueError("tenon_blueprint: " + path + " is no archive of torch.save; use write()")
    record = roots.pop() + "/tenon.blueprint.json"
    if record in names:
        raise ValueError("tenon_blueprint: " + path + " has a blueprint already; save the checkpoint again first")
    if record.rpartition("/")[0] + "/tenon.digests" in names:
        raise ValueError("tenon_blueprint: " + path + " holds tenon's digests, which tell of any byte that is added; "
                         "use write(), or make the file with --no-digests")

    def fill(out):
        with open(path, "rb") as source:
            _copy(source, out)
        with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(record), _to_json(document))

    _replace(path, fill)


def _embed_safetensors(path, document):
    def fill(out):
        with open(path, "rb") as source:
            (size,) = struct.unpack("<Q", source.read(8))
            if size > os.path.getsize(path) - 8:
                raise ValueError("tenon_blueprint: " + path + " is cut or no safetensors file")
            header = json.loads(source.read(size).decode())
            metadata = header.setdefault("__metadata__", {})
            metadata["tenon.blueprint"] = _to_json(document)
            metadata.pop("tenon.digests", None)
            text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            text += b" " * (-len(text) % 8)
            out.write(struct.pack("<Q", len(text)) + text)
            _copy(source, out)

    _replace(path, fill)


# ---- a test of custom layers ----------------------------------------------------------------------------------------


def expect_round_trip(make_model, inputs, train=None):
    """Raises AssertionError unless a model made by `make_model()` survives save and load into a fresh one.

    make_model: a function without arguments that builds the model; called two or three times.
    inputs: as for blueprint().
    train: a function that takes the model and changes it as training would; without one, every registered floating
        tensor and every tensor that state_dict() misses is moved a little.

    Checked: two fresh models have the same names and shapes; nothing is unregistered; all tensors are the same after
    `load_state_dict`; so are the outputs. The message names each problem and, for outputs, the first module that
    deviates.
    """
    problems = round_trip_problems(make_model, inputs, train)
    if problems:
        raise AssertionError("the model does not survive save and load:\n" + "".join("  " + p + "\n" for p in problems))


def round_trip_problems(make_model, inputs, train=None):
    """What expect_round_trip() says, as a list of sentences; empty when all is well."""
    model, fresh = make_model(), make_model()
    problems = _construction_problems(model, fresh)
    if train is not None:
        train(model)
    else:
        _move_everything(model)
    for row in unregistered(model):
        problems.append("{name} is not saved: {why}".format(**row))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    loaded = torch.load(file, map_location="cpu")
    try:
        outcome = fresh.load_state_dict(loaded)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        return problems + ["load_state_dict() refuses what state_dict() gave: " + str(error).splitlines()[0]]
    for name in getattr(outcome, "missing_keys", []):
        problems.append(name + " is missing in what state_dict() gave")
    for name in getattr(outcome, "unexpected_keys", []):
        problems.append(name + " is saved, and load_state_dict() does not take it")
    problems += _tensor_problems(model, fresh)
    return problems + _output_problems(model, fresh, inputs)


def _construction_problems(model, fresh):
    first, second = _state_tensors(model), _state_tensors(fresh)
    problems = []
    if list(first) != list(second):
        odd = next((a or b for a, b in _pairs(list(first), list(second)) if a != b), "")
        problems.append("two models made one after the other have other names, or another order: " + str(odd))
    for name in first:
        if name in second and first[name].shape != second[name].shape:
            problems.append("{}: {} in one model, {} in the next one".format(
                name, list(first[name].shape), list(second[name].shape)))
    return problems


def _pairs(a, b):
    length = max(len(a), len(b))
    return zip(a + [None] * (length - len(a)), b + [None] * (length - len(b)))


def _move_everything(model):
    """As training does, and more: what is not saved must not be what a fresh model happens to start with."""
    with torch.no_grad():
        for number, (_, tensor, is_parameter, _) in enumerate(_Held(model).tensors):
            if tensor.is_floating_point() and _has_values(tensor):
                tensor.mul_(1 + 0.01 * (number % 7 + 1))
                if is_parameter:
                    tensor.add_(0.01)


def _tensor_problems(model, fresh):
    saved, loaded = {}, {}
    for into, source in ((saved, model), (loaded, fresh)):
        for name, tensor, _, is_persistent in _Held(source).tensors:
            if is_persistent:
                into[name] = tensor
    problems = []
    for name, tensor in saved.items():
        other = loaded.get(name)
        if other is None:
            problems.append(name + " is registered in one model and not in the next one")
        elif _has_values(tensor) and _digest(tensor) != _digest(other):
            problems.append(name + " has other values after loading: state_dict() and load_state_dict() disagree")
    return problems


def _output_problems(model, fresh, inputs):
    a, b = _Run(_Held(model), inputs), _Run(_Held(fresh), inputs)
    if not (a.is_deterministic and b.is_deterministic):
        return []
    first, second = a.probe(), b.probe()
    if all(_near(x, y, x["tolerance"]) for x, y in zip(first["outputs"], second["outputs"])):
        if len(first["outputs"]) == len(second["outputs"]):
            return []
    others = {row["name"]: row for row in second["modules"]}
    for number, row in enumerate(first["modules"]):
        inner = _inner_scale(row, first["modules"][:number], first["inputs"])
        if row["name"] in others and not _near(row, others[row["name"]], _tolerance(row["dtype"], row["scale"], inner)):
            return ["other outputs after loading; the first module that deviates: " + row["name"]]
    return ["other outputs after loading"]


def _near(a, b, tolerance):
    if a["shape"] != b["shape"] or a["dtype"] != b["dtype"]:
        return False
    tolerance = max(tolerance, _tolerance(b["dtype"], b["scale"]))
    return all(x == y or (not isinstance(x, str) and not isinstance(y, str) and abs(x - y) <= tolerance)
               for x, y in zip(a["sample"], b["sample"]))
