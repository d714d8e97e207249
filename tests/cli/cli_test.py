#!/usr/bin/env python3
"""Tests of the program itself: exit codes, streams and files of every command. What the answers mean is tested below it.

usage: cli_test.py --tenon PATH [unittest arguments...]
"""
import ast, contextlib, fcntl, gzip, json, math, os, pathlib, pty, select, shutil, signal, struct, subprocess, sys, tempfile, time, unittest, zipfile

REPO = pathlib.Path(__file__).resolve().parents[2]
TENON = None
COMMANDS = "inspect convert verify diff check explain adapt blueprint log scan help".split()
SCHEMA = {name: f"tenon.{name}/1" for name in COMMANDS}


def safetensors(tensors, metadata=None, pad=0):
    """A file of `tensors`: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + pad)
    return struct.pack("<Q", len(text)) + text + data


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(REPO / "examples/data/tiny", self.folder, dirs_exist_ok=True)
        self.write("one.safetensors", safetensors({"w": ("F32", [2], floats(1, 2)), "b": ("F32", [1], floats(3))}))
        self.write("two.safetensors", safetensors({"w": ("F32", [2], floats(1, 5)), "b": ("F32", [1], floats(3))}))

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run_tenon(self, *arguments, stdin=b"", env=None, stdout=subprocess.PIPE, keep=()):
        clean = {k: v for k, v in os.environ.items()
                 if k not in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LC_ALL", "LC_CTYPE", "LANG") or k in keep}
        clean.update({"LC_ALL": "C.UTF-8"} if env is None else {"LC_ALL": "C.UTF-8", **env})
        done = subprocess.run([TENON, *map(str, arguments)], input=stdin, stdout=stdout, stderr=subprocess.PIPE,
                              cwd=self.folder, env=clean, timeout=60)
        done.out = (done.stdout or b"").decode("utf-8")  # a byte that is no UTF-8 is a failure
        done.err = done.stderr.decode("utf-8")
        self.assertNotIn("terminate called", done.err)
        self.assertNotIn("tenon: bug", done.err)
        return done

    def expect(self, code, *arguments, **options):
        done = self.run_tenon(*arguments, **options)
        self.assertEqual(done.returncode, code, f"tenon {' '.join(map(str, arguments))}\n{done.out}\n{done.err}")
        return done

    def document(self, code, *arguments, **options):
        """Exactly one JSON document on stdout, on one line, the schema first."""
        done = self.expect(code, *arguments, "--json", **options)
        lines = done.out.splitlines()
        self.assertEqual(len(lines), 1, done.out)
        document = json.loads(lines[0], parse_constant=lambda name: self.fail(f"{name} is no JSON"))
        self.assertEqual(next(iter(document)), "schema")
        return document

    def files(self):
        return {p.name: p.read_bytes() for p in self.folder.iterdir() if p.is_file()}

    @contextlib.contextmanager
    def nothing_changes(self):
        before = self.files()
        yield
        self.assertEqual(before, self.files())


class Usage(CliTest):
    def test_version_and_help_are_answers(self):
        self.assertRegex(self.expect(0, "--version").out, r"^tenon \d+\.\d+\.\d+\n$")
        page = self.expect(0, "--help").out
        for command in COMMANDS:
            self.assertIn(command, page)
            help_text = self.expect(0, command, "--help").out
            self.assertIn("Examples:", help_text)
            self.assertIn(f"tenon {command} ", help_text)
            self.assertEqual([line for line in help_text.splitlines() if len(line) > 100], [])

    def test_nothing_asked_shows_the_help_on_stderr(self):
        done = self.expect(2)
        self.assertEqual(done.out, "")
        self.assertIn("inspect", done.err)

    def test_wrong_usage_is_one_helpful_line(self):
        for arguments, hint in [
            (["inspct", "a"], "the nearest is `inspect`"),
            (["frobnicate"], "there is no command"),
            (["inspect"], "needs FILE"),
            (["inspect", "one.safetensors", "--jsn"], "the nearest is `--json`"),
            (["check", "one.safetensors"], "--against"),
            (["diff", "one.safetensors"], "needs B"),
            (["verify"], "needs FILE"),
            (["blueprint"], "needs FILE"),
            (["log"], "needs FILE"),
            (["log", "one.safetensors", "--apend", "a=1"], "the nearest is `--append`"),
            (["adapt", "one.safetensors"], "--to"),
            (["inspect", "one.safetensors", "--color", "mauve"], "--color"),
            (["adapt", "a", "--to", "b", "-o", "c.pt", "--accept", "everything"], "--accept"),
            (["inspect", "one.safetensors", "two.safetensors"], "two.safetensors"),
        ]:
            with self.subTest(arguments=arguments):
                done = self.expect(2, *arguments)
                self.assertEqual(done.out, "")
                self.assertEqual(len(done.err.splitlines()), 1, done.err)
                self.assertTrue(done.err.startswith("tenon: error: "), done.err)
                self.assertIn(hint, done.err)

    def test_wrong_usage_has_its_json_too(self):
        self.assertEqual(self.document(2, "check", "one.safetensors")["error"]["code"], "invalid")

    def test_invalid_requests_exit_2(self):
        self.expect(2, "convert", "one.safetensors", "out.xyz")
        self.expect(2, "convert", "one.safetensors", "out.pt", "--to", "gguf")
        self.expect(2, "adapt", "one.safetensors", "--to", "two.safetensors")
        self.expect(2, "inspect", "-")
        self.expect(2, "help", "wraper_prefix")
        self.assertIn("wrapper_prefix", self.run_tenon("help", "wraper_prefix").err)


class Answers(CliTest):
    def test_yes_and_no(self):
        for code, arguments in [
            (0, ["inspect", "one.safetensors"]),
            (0, ["verify", "one.safetensors", "checkpoint.pth"]),
            (0, ["diff", "one.safetensors", "one.safetensors"]),
            (1, ["diff", "one.safetensors", "two.safetensors"]),
            (0, ["check", "one.safetensors", "--against", "two.safetensors"]),
            (1, ["check", "checkpoint.pth", "--against", "model.safetensors"]),
            (1, ["explain", "error.txt"]),
            (1, ["explain", "error.txt", "--checkpoint", "checkpoint.pth", "--against", "model.safetensors"]),
            (0, ["help"]), (0, ["help", "adapt"]), (0, ["help", "wrapper_prefix"]),
            (0, ["adapt", "checkpoint.pth", "--to", "model.safetensors", "--dry-run"]),
            (0, ["convert", "one.safetensors", "one.pth", "--dry-run"]),
        ]:
            with self.subTest(arguments=arguments):
                with self.nothing_changes():
                    done = self.expect(code, *arguments)
                self.assertEqual(done.err, "")
                self.assertNotEqual(done.out, "")
                self.assertNotIn("\x1b", done.out)
                document = self.document(code, *arguments)
                self.assertEqual(document["schema"], SCHEMA[arguments[0]])
                quiet = self.expect(code, *arguments, "--quiet")
                self.assertEqual(quiet.err, "")
                if arguments[0] not in ("verify", "help"):
                    self.assertEqual(len(quiet.out.splitlines()), 1, quiet.out)

    def test_the_first_line_is_the_verdict_and_says_what_was_not_checked(self):
        first = self.expect(0, "check", "one.safetensors", "--against", "two.safetensors").out.splitlines()[0]
        self.assertEqual(first, "2 of 2 tensors fit; function not checked: the file has no blueprint")

    def test_the_last_line_of_check_repairs(self):
        last = self.expect(1, "check", "checkpoint.pth", "--against", "model.safetensors").out.splitlines()[-1]
        self.assertTrue(last.strip().startswith("tenon adapt "), last)
        os.symlink(TENON, self.folder / "tenon")
        subprocess.run(["sh", "-c", last.strip()], cwd=self.folder, check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"})
        self.expect(0, "check", "fitted.safetensors", "--against", "model.safetensors")

    def test_the_command_is_quoted_for_a_shell(self):
        shutil.copy(self.folder / "checkpoint.pth", self.folder / "it's a $(touch pwned) file.pth")
        last = self.expect(1, "check", "it's a $(touch pwned) file.pth", "--against",
                           "model.safetensors").out.splitlines()[-1]
        words = subprocess.run(["sh", "-c", f"printf '%s\\n' {last.strip()}"], cwd=self.folder, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.splitlines()
        self.assertIn("it's a $(touch pwned) file.pth", words)
        self.assertFalse((self.folder / "pwned").exists())

    def test_explain_reads_stdin_a_file_and_an_argument(self):
        text = (self.folder / "error.txt").read_bytes()
        from_file = self.expect(1, "explain", "error.txt").out
        self.assertEqual(self.expect(1, "explain", stdin=text).out, from_file)
        self.assertEqual(self.expect(1, "explain", "-", stdin=text).out, from_file)
        self.assertEqual(self.expect(1, "explain", text.decode()).out, from_file)

    def test_explain_never_exits_3_because_of_a_text(self):
        for text in [b"", b"\n", b"\x00\xff\xfe" * 100, b"all is well", os.urandom(5000), b"size mismatch for " * 999,
                     (self.folder / "checkpoint.pth").read_bytes()]:
            done = self.run_tenon("explain", stdin=text)
            self.assertIn(done.returncode, (0, 1), done.err)
            self.document(done.returncode, "explain", stdin=text)

    def test_check_documents_have_every_member(self):
        document = self.document(1, "check", "checkpoint.pth", "--against", "model.safetensors")
        self.assertEqual(list(document), ["schema", "fits", "proved", "matched", "missing", "unexpected", "mismatched",
                                          "dtype_changes", "layout_changes", "architecture", "environment", "probe",
                                          "causes", "mapping", "coverage", "plan", "neighbours", "advice", "notes"])
        self.assertEqual(document["plan"]["ops"][0]["op"], "unwrap")
        explained = self.document(1, "explain", "error.txt")
        self.assertNotIn("mapping", explained)
        self.assertIsNone(explained["matched"])
        self.assertIsNone(explained["coverage"])

    def test_a_neighbour_that_fits_is_named(self):
        (self.folder / "run").mkdir()
        wanted = {f"layer{i}.weight": ("F32", [3, 2], floats(*range(6))) for i in range(4)}
        moments = {f"state.{i}.exp_avg": ("F32", [3, 2], floats(*range(6))) for i in range(4)}
        wrapped = {"module." + name: row for name, row in wanted.items()}
        self.write("target.safetensors", safetensors(wanted))
        self.write("run/optimizer.safetensors", safetensors(moments))
        self.write("run/notes.txt", b"not a checkpoint")
        self.write("run/cut.safetensors", safetensors(wanted)[:-9])
        self.write("elsewhere.safetensors", safetensors(wanted))
        (self.folder / "run/link.safetensors").symlink_to("../elsewhere.safetensors")
        arguments = "check", "run/optimizer.safetensors", "--against", "target.safetensors"
        self.assertEqual(self.document(1, *arguments)["neighbours"], [])  # neither the link nor the damaged file
        self.write("run/weights.safetensors", safetensors(wrapped))
        self.assertEqual(self.document(1, *arguments)["neighbours"],
                         [{"file": "run/weights.safetensors", "tensors": 1.0, "parameters": 1.0}])
        lines = self.expect(1, *arguments, env={"COLUMNS": "200"}).out.splitlines()
        self.assertIn("note: `weights.safetensors` beside it fits 100 % of the model's tensors, 100 % of its parameters", lines)
        self.assertEqual(lines[-1], "  tenon check run/weights.safetensors --against target.safetensors")
        done = self.expect(3, "check", "run/cut.safetensors", "--against", "target.safetensors")
        self.assertEqual(done.out.splitlines()[-1], lines[-1])
        refused = self.document(1, "adapt", "run/optimizer.safetensors", "--to", "target.safetensors", "-o", "o.safetensors")
        self.assertTrue(any("run/weights.safetensors beside it fits 100 %" in note for note in refused["notes"]), refused)

    def test_drops_are_said_to_be_harmless_or_harmful(self):
        model = {"a.weight": ("F32", [2], floats(1, 2)), "z.weight": ("F32", [2], floats(1, 2))}
        more = {"a.bias": ("F32", [2], floats(3, 4)), "ema.a.weight": ("F32", [2], floats(1, 2))}
        self.write("model.safetensors", safetensors(model))
        self.write("more.safetensors", safetensors({**model, **more}))
        plan = {"ops": [{"op": "drop", "pattern": "ema.*"}, {"op": "drop", "pattern": "a.bias"}]}
        self.write("plan.json", json.dumps(plan).encode())
        arguments = ["adapt", "more.safetensors", "--to", "model.safetensors", "--plan", "plan.json", "--dry-run"]
        document = self.document(0, *arguments)
        self.assertEqual([(d["op"], d["harm"], d["tensors"], d["parameters"]) for d in document["plan"]["drops"]],
                         [(0, "harmless", 1, 2), (1, "harmful", 1, 2)])
        self.assertIn("harmful: its layer stays", self.expect(0, *arguments, env={"COLUMNS": "200"}).out)
        self.write("again.json", json.dumps(document["plan"]).encode())  # a plan out of a report is a plan
        self.document(0, *arguments[:5], "again.json", "--dry-run")

    def test_inspect_documents(self):
        document = self.document(0, "inspect", "one.safetensors", "--digest", "--stats")
        self.assertEqual(document["totals"], {"tensors": 2, "parameters": 3, "bytes": 12,
                                              "file_bytes": (self.folder / "one.safetensors").stat().st_size})
        self.assertEqual([t["name"] for t in document["tensors"]], ["w", "b"])
        self.assertTrue(document["tensors"][0]["digest"].startswith("sha256:"))
        self.assertIsNone(document["tensors"][0]["device"])
        self.assertIsNone(document["blueprint"])
        self.assertEqual(self.document(0, "inspect", "checkpoint.pth")["objects"],
                         [{"name": "epoch", "type": "int", "value": 12}])

    def test_diff_documents(self):
        document = self.document(1, "diff", "one.safetensors", "two.safetensors")
        self.assertEqual(document["identical"], 1)
        self.assertEqual(document["changed"][0]["key"], "w")
        self.assertEqual(document["changed"][0]["max_abs"], 3.0)
        self.assertEqual(document["changed"][0]["changed_elements"], 1)

    def test_nan_is_a_problem_when_asked_for_and_a_string_in_json(self):
        self.write("nan.safetensors", safetensors({"w": ("F32", [2], floats(float("nan"), float("inf")))}))
        self.expect(0, "verify", "nan.safetensors")
        document = self.document(1, "verify", "nan.safetensors", "--finite")
        self.assertEqual(document["files"][0]["problems"][0]["where"], "w")
        self.write("zero.safetensors", safetensors({"w": ("F32", [2], floats(0, 0))}))
        self.assertIn(self.document(1, "diff", "zero.safetensors", "nan.safetensors")["changed"][0]["max_abs"],
                      ("NaN", "Infinity"))


class Unreadable(CliTest):
    """Bad input: exit 3, a place, a reason, a next step, one document, and never a crash."""

    def bad_files(self):
        whole = (self.folder / "checkpoint.pth").read_bytes()
        header = json.dumps({"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}).encode()
        return {
            "empty.pth": b"",
            "cut.pth": whole[: len(whole) // 2],
            "page.pth": b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>quota exceeded</body></html>\n",
            "pointer.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n",
            "text.pth": b"these are not the weights that were asked for\n" * 20,
            "picture.pth": b"\x89PNG\r\n\x1a\n" + bytes(200),
            "zeros.pth": bytes(4096),
            "huge_header.safetensors": struct.pack("<Q", 2**62) + b"{}",
            "huge_shape.safetensors": struct.pack("<Q", len(header)) + header + bytes(8),
            "overlong.safetensors": safetensors({"w": ("F32", [2], floats(1, 2))})[:-4],
        }

    def test_every_reader_refuses(self):
        for name, content in self.bad_files().items():
            self.write(name, content)
            for arguments in (["inspect", name], ["convert", name, "out.safetensors"], ["diff", name, "one.safetensors"],
                              ["diff", "one.safetensors", name], ["check", name, "--against", "one.safetensors"],
                              ["check", "one.safetensors", "--against", name],
                              ["adapt", name, "--to", "one.safetensors", "-o", "out.safetensors"],
                              ["explain", "error.txt", "--checkpoint", name]):
                with self.subTest(arguments=arguments):
                    done = self.expect(3, *arguments)
                    self.assertTrue(done.err.startswith("tenon: error: "), done.err)
                    self.assertIn(name, done.err)
                    self.assertIn("next:", done.err)
                    if arguments[0] not in ("check", "explain"):
                        self.assertEqual(done.out, "")
                    document = self.document(3, *arguments)
                    self.assertEqual(list(document["error"]), ["code", "file", "member", "key", "byte", "what", "expected",
                                                               "found", "next"])
            self.assertFalse((self.folder / "out.safetensors").exists())

    def test_verify_calls_a_damaged_file_damaged(self):
        whole = (self.folder / "checkpoint.pth").read_bytes()
        flipped = bytearray(whole)
        at = whole.find(struct.pack("<I", 0x08074B50)) - 1  # the last byte before some entry's data descriptor
        flipped[at if at > 0 else 1000] ^= 0xFF
        self.write("flipped.pth", bytes(flipped))
        self.write("cut.pth", whole[: len(whole) // 2])
        self.write("overlong.safetensors", self.bad_files()["overlong.safetensors"])
        for name in ("flipped.pth", "cut.pth", "overlong.safetensors"):
            with self.subTest(name=name):
                self.expect(1, "verify", name)
                row = self.document(1, "verify", name)["files"][0]
                self.assertFalse(row["ok"])
                self.assertNotEqual(row["problems"], [])

    def test_check_names_the_cause_of_a_damaged_file(self):
        for name, content in self.bad_files().items():
            if name in ("picture.pth", "text.pth", "huge_header.safetensors"):
                continue  # whole files of another kind; a limit passed
            self.write(name, content)
            with self.subTest(name=name):
                document = self.document(3, "check", name, "--against", "one.safetensors")
                self.assertEqual([c["id"] for c in document["causes"]], ["corrupt_file"])
                self.assertFalse(document["fits"])
                self.assertIn("error[corrupt_file]", self.expect(3, "check", name, "--against", "one.safetensors").out)

    def test_missing_and_folder(self):
        (self.folder / "folder").mkdir()
        for name in ("missing.pth", "folder"):
            for arguments in (["inspect", name], ["verify", name], ["diff", name, name],
                              ["check", name, "--against", "one.safetensors"]):
                with self.subTest(arguments=arguments):
                    done = self.expect(3, *arguments)
                    self.assertIn(name, done.err)
                    if (name, arguments[0]) != ("folder", "check"):  # it tells what a folder is not
                        self.assertEqual(done.out, "")
                    self.document(3, *arguments)

    def test_no_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        (self.folder / "one.safetensors").chmod(0)
        self.assertIn("ermission", self.expect(3, "inspect", "one.safetensors").err)

    def test_one_bad_file_among_good_ones(self):
        done = self.expect(3, "verify", "one.safetensors", "missing.pth", "two.safetensors")
        self.assertEqual([line.split(":")[0] for line in done.out.splitlines() if ": ok" in line],
                         ["one.safetensors", "two.safetensors"])
        document = self.document(3, "verify", "one.safetensors", "missing.pth", "two.safetensors")
        self.assertEqual([f["ok"] for f in document["files"]], [True, False, True])
        self.assertEqual(document["error"]["code"], "not_found")

    def test_every_cut_of_a_small_file(self):
        whole = safetensors({"w": ("F32", [2], floats(1, 2))})
        for length in range(0, len(whole), 7):
            self.write("cut.safetensors", whole[:length])
            self.expect(3, "inspect", "cut.safetensors")

    def test_names_from_files_cannot_move_the_cursor(self):
        self.write("evil.safetensors", safetensors({"\x1b[2J\r\nw\u202e": ("F32", [1], floats(1))},
                                                   {"k\x07": "\x1b]0;title\x07"}))
        for arguments in (["inspect", "evil.safetensors"], ["diff", "evil.safetensors", "one.safetensors"],
                          ["check", "evil.safetensors", "--against", "one.safetensors", "--all"]):
            out = self.run_tenon(*arguments).out
            for forbidden in "\x1b\r\x07\u202e":
                self.assertNotIn(forbidden, out)


class Folders(CliTest):
    CONFIG = {"architectures": ["BertModel"], "model_type": "bert", "num_attention_heads": 12, "hidden_act": "gelu",
              "layer_norm_eps": 1e-12, "rope_scaling": {"factor": 2.0}, "transformers_version": "4.30.0",
              "_name_or_path": "a", "torch_dtype": "float32", "use_cache": True, "id2label": {"0": "cat"}}

    def folder_of(self, name, weights="model.safetensors", text=None, **changes):
        (self.folder / name).mkdir()
        shutil.copy(self.folder / "one.safetensors", self.folder / name / weights)
        config = json.dumps(dict(self.CONFIG, **changes)) if text is None else text
        self.write(name + "/config.json", config.encode())
        return name

    def test_what_decides_is_told(self):
        self.folder_of("a")
        for number, (name, value, told) in enumerate((
                ("num_attention_heads", 6, ("12", "6")), ("hidden_act", "relu", ("gelu", "relu")),
                ("layer_norm_eps", 1e-5, ("1e-12", "1e-05")), ("architectures", ["Other"], ("BertModel", "Other")),
                ("rope_scaling", {"factor": 4.0}, ("2.0", "4.0")))):
            with self.subTest(name):
                other = self.folder_of(f"b{number}", **{name: value})
                document = self.document(1, "check", "a", "--against", other)
                (row,) = document["architecture"]
                self.assertIn(told[0], row["from"])
                self.assertIn(told[1], row["to"])
                self.assertEqual([cause["id"] for cause in document["causes"]], ["parameter_free_change"])

    def test_what_decides_nothing_is_not(self):
        self.folder_of("a")
        self.folder_of("b", weights="pytorch_model.safetensors", transformers_version="4.40.1", _name_or_path="b",
                       torch_dtype="float16", use_cache=False, id2label={"0": "dog"}, new_option=None)
        document = self.document(0, "check", "a", "--against", "b")
        self.assertEqual((document["architecture"], document["environment"]), ([], []))
        self.assertEqual(document["proved"], "architecture")
        self.expect(0, "check", "a", "--against", "one.safetensors")

    def test_blueprint(self):
        self.folder_of("a")
        document = self.document(0, "blueprint", "a")
        self.assertEqual((document["class"], document["source"]), ("BertModel", "config"))
        self.assertEqual([row["name"] for row in document["tensors"]], ["w", "b"])
        self.assertEqual(document["modules"][0]["options"]["rope_scaling.factor"], 2.0)
        self.write("a.blueprint.json", self.expect(0, "blueprint", "a", "--json").out.encode())
        self.expect(0, "check", "a", "--against", "a.blueprint.json")

    def test_odd_folders(self):
        self.folder_of("odd", text="{\"a\": ")
        done = self.expect(0, "check", "odd", "--against", "one.safetensors")
        self.assertIn("config.json is not used", done.err)
        self.expect(3, "blueprint", "odd")
        self.folder_of("many")
        for name in ("a.pt", "b.pt"):
            shutil.copy(self.folder / "one.safetensors", self.folder / "many" / name)
        self.expect(0, "blueprint", "many")  # model.safetensors is the folder's
        (self.folder / "many/model.safetensors").unlink()
        self.assertIn("2 files", self.expect(3, "blueprint", "many").err)
        (self.folder / "none").mkdir()
        self.write("none/config.json", b"{}")
        self.expect(3, "check", "none", "--against", "one.safetensors")


class Writing(CliTest):
    def leftovers(self):
        return [p.name for p in self.folder.iterdir() if ".tenon-" in p.name]

    def test_limits_have_names(self):
        self.expect(0, "inspect", "one.safetensors", "--limit", "safetensors_header_bytes=1000")
        done = self.expect(3, "inspect", "one.safetensors", "--limit", "safetensors_header_bytes=10")
        self.assertIn("at most", done.err)
        self.assertIn("safetensors_header_bytes", self.expect(2, "inspect", "one.safetensors", "--limit", "safetensors_header_byte=10").err)
        self.expect(2, "inspect", "one.safetensors", "--limit", "zip_entries")
        self.expect(2, "inspect", "one.safetensors", "--limit", "zip_entries=many")

    def test_limits_hold_in_every_command(self):
        self.expect(3, "log", "one.safetensors", "--limit", "safetensors_header_bytes=10")
        self.expect(0, "adapt", "one.safetensors", "--to", "one.safetensors", "--emit-plan", "limited.json")
        done = self.expect(3, "adapt", "one.safetensors", "--to", "one.safetensors", "--plan", "limited.json", "--dry-run", "--limit", "json_file_bytes=3")
        self.assertIn("json_file_bytes", done.err)

    def test_scan(self):
        evil = b"cposix\nsystem\n(S'true'\ntR."
        self.write("evil.pkl", evil)
        self.write("harmless.pkl", b"\x80\x02}X\x01\x00\x00\x00aK\x01s.")
        answer = json.loads(self.expect(0, "scan", "one.safetensors", "harmless.pkl", "--json").out)
        self.assertEqual((answer["schema"], [f["verdict"] for f in answer["files"]]), ("tenon.scan/1", ["safe", "safe"]))
        done = self.expect(1, "scan", "evil.pkl", "--json", "--sarif", "report.sarif")
        found = json.loads(done.out)["files"][0]
        self.assertEqual((found["verdict"], found["globals"]), ("dangerous", ["posix.system"]))
        self.assertEqual(found["findings"][0]["offset"], 0)
        self.assertEqual(json.loads((self.folder / "report.sarif").read_text())["version"], "2.1.0")
        self.assertIn("posix.system", self.expect(1, "scan", "evil.pkl").out)
        self.expect(3, "scan", "nowhere.pkl")
        with zipfile.ZipFile(self.folder / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/\x1b[31m.pkl", evil)
        done = self.expect(1, "scan", "in.zip")
        self.assertNotIn("\x1b", done.out)
        self.expect(1, "scan", ".")

    def test_scan_of_links(self):
        evil = self.write("evil", b"cposix\nsystem\n(S'true'\ntR.")
        snapshot = self.folder / "snapshots/r"
        snapshot.mkdir(parents=True)
        (snapshot / "pytorch_model.bin").symlink_to("../../evil")
        done = self.expect(1, "scan", "snapshots/r")
        self.assertIn("posix.system", done.out)
        self.assertIn("pytorch_model.bin", done.out)
        (snapshot / "pytorch_model.bin").unlink()
        done = self.expect(3, "scan", "snapshots/r")
        self.assertIn("no files", done.err)
        (snapshot / "m.safetensors").symlink_to("../../one.safetensors")
        self.expect(0, "scan", "snapshots/r")
        for name, made in (("pipe", lambda p: os.mkfifo(p)), ("nowhere", lambda p: p.symlink_to("none")),
                           ("folder", lambda p: p.symlink_to("..")), ("loop", lambda p: p.symlink_to("loop"))):
            with self.subTest(name):
                made(snapshot / name)
                done = self.expect(3, "scan", "snapshots/r")
                self.assertIn(name, done.err)
                self.assertIn("1 path not scanned", done.out)
                document = json.loads(self.expect(3, "scan", "snapshots/r", "--json").out)
                self.assertIn(name, document["error"]["file"])
                (snapshot / name).unlink()
        self.assertTrue(evil.exists())

    def test_inspect_of_a_cache(self):
        blobs, snapshot = self.folder / "hub/blobs", self.folder / "hub/snapshots/r"
        blobs.mkdir(parents=True), snapshot.mkdir(parents=True)
        shutil.copy(self.folder / "one.safetensors", blobs / ("a" * 64))
        (snapshot / "model.safetensors").symlink_to("../../blobs/" + "a" * 64)
        self.expect(0, "inspect", "hub/snapshots/r")
        (snapshot / "model.safetensors").unlink()
        (snapshot / "model-00001-of-00001.safetensors").symlink_to("../../blobs/" + "a" * 64)
        index = {"metadata": {}, "weight_map": {"w": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}}
        (blobs / ("b" * 40)).write_text(json.dumps(index))
        (snapshot / "model.safetensors.index.json").symlink_to("../../blobs/" + "b" * 40)
        self.expect(0, "inspect", "hub/snapshots/r")

    def test_a_report_replaces_reports_only(self):
        before = (self.folder / "two.safetensors").read_bytes()
        done = self.expect(4, "scan", "one.safetensors", "--sarif", "two.safetensors")
        self.assertIn("no SARIF", done.err)
        self.assertEqual((self.folder / "two.safetensors").read_bytes(), before)
        self.expect(0, "scan", "one.safetensors", "--sarif", "r.sarif")
        self.expect(0, "scan", "one.safetensors", "--sarif", "r.sarif")

    def test_names_cannot_move_the_cursor(self):
        self.write("a\x1b[31m\n.pkl", b"cposix\nsystem\n(S'true'\ntR.")
        done = self.expect(1, "scan", "a\x1b[31m\n.pkl")
        self.assertNotIn("\x1b", done.out)
        self.assertIn("$'a\\x1b[31m\\x0a.pkl'", done.out)

    def test_storages_of_arrays_and_tensors_have_names_of_their_own(self):
        def text(value):
            return b"X" + struct.pack("<I", len(value)) + value
        array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\n"
                 + text(b"f4") + b"\x89\x88\x87R(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x08"
                 + bytes(8) + b"tb")
        tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu")
                  + b"K\x02tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR")
        with zipfile.ZipFile(self.folder / "mixed.pt", "w") as archive:
            archive.writestr("m/data.pkl", b"\x80\x02}" + text(b"np") + array + b"s" + text(b"w") + tensor + b"s.")
            archive.writestr("m/data/0", bytes(8))
            archive.writestr("m/version", "3\n")
        rows = {row["name"]: row["storage"] for row in self.document(0, "inspect", "mixed.pt")["tensors"]}
        self.assertEqual(rows["w"], "0")
        self.assertEqual(len(set(rows.values())), 2)

    def test_a_checkpoint_is_no_stream(self):
        for out in ("-", "/dev/stdout"):
            done = self.expect(2, "convert", "one.safetensors", out, "--to", "npz")
            self.assertIn("cannot be written to a stream", done.err)
        self.expect(4, "convert", "one.safetensors", "/dev/null", "--to", "npz", "--force")
        self.assertFalse((self.folder / "-").exists())

    def test_shards(self):
        tensors = {f"layer.{i}.w": ("F32", [8], floats(*range(i, i + 8))) for i in range(5)}
        self.write("whole.safetensors", safetensors(tensors))
        for suffix in (".safetensors", ".bin"):
            out = f"m{suffix}"
            done = self.expect(0, "convert", "whole.safetensors", out, "--max-shard-size", "70B", "--json")
            self.assertEqual(json.loads(done.out)["out"], out + ".index.json")
            names = sorted(path.name for path in self.folder.glob(f"m-*{suffix}"))
            self.assertEqual(names, [f"m-0000{i}-of-00003{suffix}" for i in (1, 2, 3)])
            index = json.loads((self.folder / (out + ".index.json")).read_text())
            self.assertEqual(index["metadata"]["total_size"], 160)
            self.assertEqual(list(index["weight_map"]), list(tensors))
            self.expect(0, "diff", "whole.safetensors", out + ".index.json")
            self.expect(0, "verify", out + ".index.json")
            self.expect(4, "convert", "whole.safetensors", out, "--max-shard-size", "70B")  # they exist
            self.expect(0, "convert", "whole.safetensors", out, "--max-shard-size", "70B", "--force")
            # The old shards stayed until the new index stood, so the new ones have other names; the old ones are gone.
            names = sorted(path.name for path in self.folder.glob(f"m*-of-*{suffix}"))
            self.assertEqual(names, [f"m.g2-0000{i}-of-00003{suffix}" for i in (1, 2, 3)])
            self.expect(0, "diff", "whole.safetensors", out + ".index.json")
        self.expect(0, "convert", "whole.safetensors", "small.safetensors", "--max-shard-size", "1GB")
        self.assertTrue((self.folder / "small.safetensors").exists())
        (self.folder / "m.g2-00002-of-00003.bin").unlink()
        done = self.expect(3, "inspect", "m.bin.index.json")
        self.assertIn("m.g2-00002-of-00003.bin", done.err)
        self.expect(0, "inspect", "m.bin.index.json", "--salvage")

    def test_a_file_that_another_program_rewrote_with_the_old_digests_is_read_when_asked(self):
        self.write("a.safetensors", safetensors({"w": ("F32", [2], floats(1, 2))}))
        self.expect(0, "convert", "a.safetensors", "own.safetensors")
        own = (self.folder / "own.safetensors").read_bytes()
        size = int.from_bytes(own[:8], "little")
        metadata = json.loads(own[8:8 + size])["__metadata__"]
        self.write("rewritten.safetensors", safetensors({"w": ("F32", [2], floats(3, 4))}, metadata))
        error = self.expect(3, "convert", "rewritten.safetensors", "out.safetensors").err
        self.assertIn("--no-check", error)
        self.expect(0, "convert", "rewritten.safetensors", "out.safetensors", "--no-check")
        self.expect(0, "verify", "out.safetensors")
        self.write("want.safetensors", safetensors({"w": ("F32", [2], floats(3, 4))}))
        self.expect(0, "diff", "out.safetensors", "want.safetensors")

    def test_gzip_and_archives_of_checkpoints(self):
        whole = safetensors({"w": ("F32", [2], floats(1, 2))})
        self.write("w.gz", gzip.compress(whole))
        self.assertEqual([t["name"] for t in json.loads(self.expect(0, "inspect", "w.gz", "--json").out)["tensors"]], ["w"])
        self.write("cut.gz", gzip.compress(whole)[:-12])
        self.expect(3, "inspect", "cut.gz")
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(self.folder / "agent.zip", "w", method) as archive:
                archive.writestr("policy.safetensors", whole)
                archive.writestr("value.safetensors", safetensors({"v": ("F32", [1], floats(3))}))
                archive.writestr("data", "{}")
            answer = json.loads(self.expect(0, "inspect", "agent.zip", "--json", "--digest").out)
            self.assertEqual((answer["format"], [t["name"] for t in answer["tensors"]]), ("zip", ["w", "v"]))
            self.expect(0, "verify", "agent.zip")
        with zipfile.ZipFile(self.folder / "bad.zip", "w") as archive:
            archive.writestr("policy.pth", b"no checkpoint")
        self.expect(3, "inspect", "bad.zip")

    def test_convert_round_trip(self):
        self.expect(0, "convert", "one.safetensors", "one.pth")
        self.expect(0, "convert", "one.pth", "back.safetensors")
        self.expect(0, "diff", "one.safetensors", "back.safetensors")
        document = self.document(0, "convert", "one.pth", "again.safetensors")
        self.assertEqual((document["from"], document["to"]), ("pytorch-zip", "safetensors"))
        self.assertEqual((self.folder / "back.safetensors").read_bytes()[8:],
                         (self.folder / "again.safetensors").read_bytes()[8:])

    def test_existing_output_is_untouched_without_force(self):
        for arguments in (["convert", "one.safetensors", "two.safetensors"],
                          ["adapt", "one.safetensors", "--to", "one.safetensors", "-o", "two.safetensors"]):
            with self.subTest(arguments=arguments):
                with self.nothing_changes():
                    done = self.expect(4, *arguments)
                    self.assertIn("--force", done.err)
                    self.assertEqual(self.document(4, *arguments)["error"]["code"], "exists")
                    self.expect(4, *arguments, "--dry-run")
        self.expect(0, "convert", "one.safetensors", "two.safetensors", "--force")
        self.expect(0, "diff", "one.safetensors", "two.safetensors")

    def test_outputs_that_cannot_be_written(self):
        with self.nothing_changes():
            self.expect(4, "convert", "one.safetensors", "nowhere/out.safetensors")
            self.assertIn("folder", self.run_tenon("convert", "one.safetensors", "nowhere/out.safetensors").err)
            done = self.expect(4, "convert", "checkpoint.pth", "out.safetensors")  # `epoch` has no room there
            self.assertIn("epoch", done.err)
        self.expect(0, "convert", "checkpoint.pth", "out.safetensors", "--drop-objects")

    def test_dry_runs_write_nothing(self):
        with self.nothing_changes():
            self.expect(0, "convert", "one.safetensors", "new.pth", "--dry-run")
            self.expect(4, "convert", "checkpoint.pth", "new.safetensors", "--dry-run")
            document = self.document(0, "adapt", "checkpoint.pth", "--to", "model.safetensors", "-o", "new.pth",
                                     "--dry-run")
        self.assertTrue(document["fits"])

    def test_adapt_writes_what_fits(self):
        document = self.document(0, "adapt", "checkpoint.pth", "--to", "model.safetensors", "-o", "out.safetensors")
        self.assertEqual(list(document)[:6], ["schema", "out", "fits", "plan", "filled_from_target", "dropped"])
        self.assertEqual(document["filled_from_target"], ["fc.weight", "fc.bias"])
        self.expect(0, "check", "out.safetensors", "--against", "model.safetensors")
        self.assertEqual(self.leftovers(), [])

    def blueprint(self):
        tensors = [{"name": "w", "dtype": "float32", "shape": [2]}, {"name": "x", "dtype": "float32", "shape": [7]}]
        return self.write("m.blueprint.json", json.dumps({"schema": "tenon.blueprint/1", "tensors": tensors}).encode())

    def test_adapt_writes_nothing_that_does_not_fit(self):
        self.blueprint()
        arguments = ["adapt", "one.safetensors", "--to", "m.blueprint.json", "-o", "two.safetensors", "--force"]
        with self.nothing_changes():
            self.assertFalse(self.document(1, *arguments)["fits"])
            self.expect(1, *arguments)
        self.assertFalse(self.document(0, *arguments, "--partial")["fits"])
        names = [t["name"] for t in self.document(0, "inspect", "two.safetensors")["tensors"]]
        self.assertEqual(names, ["w"])

    def test_what_a_blueprint_cannot_fill_is_asked_for(self):
        tensors = [{"name": "conv1.weight", "dtype": "float32", "shape": [4, 1, 3, 3]},
                   {"name": "fc.weight", "dtype": "float32", "shape": [10, 8]}]
        self.write("m.blueprint.json", json.dumps({"schema": "tenon.blueprint/1", "tensors": tensors}).encode())
        last = self.expect(1, "check", "checkpoint.pth", "--against", "m.blueprint.json").out.splitlines()[-1]
        self.assertTrue(last.endswith(" --partial"), last)
        self.expect(0, *last.split()[1:])

    def test_adapt_makes_no_copy_of_the_target(self):
        with self.nothing_changes():
            self.assertFalse(self.document(1, "adapt", "one.safetensors", "--to", "model.safetensors", "-o", "out.pt")["fits"])

    def test_plans_go_out_and_come_back(self):
        self.expect(0, "adapt", "checkpoint.pth", "--to", "model.safetensors", "--emit-plan", "plan.json")
        plan = json.loads((self.folder / "plan.json").read_text())
        self.assertEqual([op["op"] for op in plan["ops"]], ["unwrap", "strip_prefix", "keep_target"])
        arguments = ["adapt", "checkpoint.pth", "--to", "model.safetensors", "--plan", "plan.json"]
        self.expect(0, *arguments, "-o", "a.safetensors")
        self.write("other.json", b"{}")
        self.expect(4, *arguments, "-o", "b.safetensors", "--emit-plan", "other.json")
        with self.nothing_changes():
            for other in ("checkpoint.pth", "./model.safetensors", "plan.json", "b.safetensors"):
                error = self.expect(2, *arguments, "--force", "--dry-run", "-o", "b.safetensors", "--emit-plan", other).err
                self.assertIn("would replace another file of this command", " ".join(error.split()))
        self.expect(0, "adapt", "checkpoint.pth", "--to", "model.safetensors", "--plan", "-", "-o", "c.safetensors",
                    stdin=(self.folder / "plan.json").read_bytes())
        self.expect(0, "diff", "a.safetensors", "c.safetensors")
        self.write("plan.json", b'{"ops": [{"op": "strip_prefx"}]}')
        self.expect(2, *arguments, "-o", "d.safetensors")
        self.write("plan.json", b'{"ops": [')
        self.expect(3, *arguments, "-o", "d.safetensors")

    NET = {"schema": "tenon.blueprint/1", "class": "Net", "training": {"epoch": 3},
           "tensors": [{"name": "w", "dtype": "float32", "shape": [2]}, {"name": "b", "dtype": "float32", "shape": [1]}],
           "modules": [{"path": "", "type": "Net", "custom": True, "options": {}},
                       {"path": "pool", "type": "MaxPool2d", "options": {"kernel_size": 2}}],
           "probe": {"outputs": [{"dtype": "float32", "shape": [1], "digest": "sha256:0", "sample": [1.5]}]}}

    def with_blueprint(self, name, values, **changes):
        document = json.dumps(dict(self.NET, **changes))
        return self.write(name, safetensors(values, {"tenon.blueprint": document}))

    def stored(self, name):
        return json.loads(zipfile.ZipFile(self.folder / name).read("out/tenon.blueprint.json"))

    def test_adapt_carries_the_targets_blueprint_over(self):
        own = {"w": ("F32", [2], floats(1, 2)), "b": ("F32", [1], floats(3))}
        wrapped = {"module." + name: row for name, row in own.items()}
        tensors = [dict(row, name="module." + row["name"]) for row in self.NET["tensors"]]
        self.with_blueprint("target.safetensors", own)
        self.with_blueprint("old.safetensors", wrapped, tensors=tensors, modules=[])
        document = self.document(0, "adapt", "old.safetensors", "--to", "target.safetensors", "-o", "out.pth")
        (note,) = [note for note in document["notes"] if "blueprint" in note]
        for part in ("target's blueprint was carried over", "its parent", "no probe"):
            self.assertIn(part, note)
        stored = self.stored("out.pth")
        self.assertEqual([row["path"] for row in stored["modules"]], ["", "pool"])
        self.assertNotIn("probe", stored)
        self.assertNotIn("training", stored)
        log = self.document(0, "log", "out.pth")
        (parent,) = log["parents"]
        self.assertEqual((parent["file"], parent["found"]), ("old.safetensors", True))
        self.assertEqual(parent["digest"], self.document(0, "log", "old.safetensors")["digest"])
        self.assertIn("2 tensors added: w, b", log["changes"])

    def test_adapt_keeps_a_probe_only_where_nothing_changed(self):
        own = {"w": ("F32", [2], floats(1, 2)), "b": ("F32", [1], floats(3))}
        self.with_blueprint("old.safetensors", own)
        self.with_blueprint("target.safetensors", {"w": ("F32", [2], floats(7, 7)), "b": ("F32", [1], floats(7))},
                            probe={"outputs": [{"dtype": "float32", "shape": [1], "digest": "sha256:1"}]})
        self.expect(0, "adapt", "old.safetensors", "--to", "target.safetensors", "-o", "out.pth")
        self.assertEqual(self.stored("out.pth")["probe"]["outputs"][0]["digest"], "sha256:0")
        self.write("plain.safetensors", safetensors(own))
        self.expect(0, "adapt", "old.safetensors", "--to", "plain.safetensors", "-o", "out.pth", "--force")
        self.assertEqual(self.stored("out.pth")["training"], {"epoch": 3})  # nothing changed: it is the same checkpoint
        self.expect(0, "adapt", "plain.safetensors", "--to", "target.safetensors", "-o", "out.pth", "--force")
        self.assertNotIn("probe", self.stored("out.pth"))
        self.assertNotIn("parents", self.stored("out.pth"))

    def test_adapt_drops_a_blueprint_of_other_names(self):
        self.with_blueprint("old.safetensors", {"module.w": ("F32", [2], floats(1, 2)), "module.b": ("F32", [1], floats(3))},
                            tensors=[dict(row, name="module." + row["name"]) for row in self.NET["tensors"]])
        document = self.document(0, "adapt", "old.safetensors", "--to", "one.safetensors", "-o", "out.safetensors")
        self.assertTrue(any("blueprint was left out" in note for note in document["notes"]), document["notes"])
        self.assertIsNone(self.document(0, "inspect", "out.safetensors")["blueprint"])

    def test_what_changes_values_is_asked_for(self):
        third = struct.pack("<2d", 1 / 3, 2 / 3)
        self.write("double.safetensors", safetensors({"w": ("F64", [2], third), "b": ("F32", [1], floats(3))}))
        arguments = ["adapt", "double.safetensors", "--to", "one.safetensors", "-o", "out.safetensors"]
        done = self.expect(1, *arguments)
        self.assertIn("--accept lossy", done.out)
        self.assertFalse((self.folder / "out.safetensors").exists())
        self.expect(0, "adapt", "--accept", "lossy", "--accept", "guess", *arguments[1:])
        self.expect(0, "check", "out.safetensors", "--against", "one.safetensors")

    def test_what_a_cast_loses_is_told_before_it_is_done(self):
        hard = struct.pack("<5d", 1 / 3, 1e300, 1e-300, float("nan"), 0.5)
        self.write("double.safetensors", safetensors({"w": ("F64", [5], hard), "b": ("F32", [1], floats(3))}))
        self.write("single.safetensors", safetensors({"w": ("F32", [5], floats(1, 2, 3, 4, 5)),
                                                      "b": ("F32", [1], floats(3))}))
        wanted = {"key": "w", "checkpoint": "float64", "model": "float32", "values": 5, "changed": 3, "overflow": 1,
                  "underflow": 1, "nan": 0, "max_rel_error": 1.0}
        adapt = ["adapt", "double.safetensors", "--to", "single.safetensors", "-o", "out.safetensors"]
        with self.nothing_changes():
            rows = [self.document(1, "check", "double.safetensors", "--against", "single.safetensors")["dtype_changes"],
                    self.document(1, *adapt)["dtype_changes_left"],
                    self.document(0, *adapt, "--dry-run", "--accept", "lossy")["dtype_changes"],
                    self.document(0, "convert", "double.safetensors", "out.safetensors", "--dtype", "float32",
                                  "--dry-run")["dtype_changes"],
                    self.document(1, "convert", "double.safetensors", "out.safetensors", "--dtype",
                                  "float32")["dtype_changes"]]
        for (row,) in rows:
            self.assertEqual({key: row[key] for key in wanted}, wanted)
            self.assertAlmostEqual(row["max_abs_error"], struct.unpack("<f", struct.pack("<f", 1 / 3))[0] - 1 / 3, delta=1e-15)
        told = " ".join(self.expect(0, *adapt, "--accept", "lossy").out.split())
        self.assertIn("cast, 1 tensor: 3 of 5 values change", told)
        self.assertIn("1 overflow, 1 underflow", told)
        self.expect(0, "convert", "double.safetensors", "cast.safetensors", "--dtype", "float32", "--accept", "lossy")
        self.expect(0, "diff", "cast.safetensors", "out.safetensors")

    def test_a_cast_that_loses_nothing_needs_no_leave(self):
        told = self.expect(0, "convert", "one.safetensors", "wide.safetensors", "--dtype", "float64").out
        self.assertIn("cast, 2 tensors: every value survives", told)
        self.assertEqual([t["dtype"] for t in self.document(0, "inspect", "wide.safetensors")["tensors"]], ["float64"] * 2)
        self.expect(2, "convert", "one.safetensors", "x.safetensors", "--dtype", "int8")
        self.expect(2, "convert", "one.safetensors", "x.safetensors", "--dtype", "flaot16")

    def test_the_same_bytes_every_time(self):
        (self.folder / "sub").mkdir()
        self.expect(0, "adapt", "checkpoint.pth", "--to", "model.safetensors", "-o", "out.pth")
        self.expect(0, "adapt", "checkpoint.pth", "--to", "model.safetensors", "-o", "sub/out.pth")
        self.assertEqual((self.folder / "out.pth").read_bytes(), (self.folder / "sub/out.pth").read_bytes())

    def test_an_interrupted_save_leaves_the_old_file_and_no_other(self):
        count, size = 400, 1 << 20
        header, at = {}, 0
        for i in range(count):
            header[f"w{i}"] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
            at += size
        text = json.dumps(header).encode()
        with open(self.folder / "large.safetensors", "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            f.truncate(8 + len(text) + at)  # sparse
        self.write("out.safetensors", b"the old file")
        process = subprocess.Popen([TENON, "convert", "large.safetensors", "out.safetensors", "--force"],
                                   cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not self.leftovers() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(out, b"")
        self.assertEqual((self.folder / "out.safetensors").read_bytes(), b"the old file")
        self.assertEqual(self.leftovers(), [])

    def test_an_interrupt_is_heard_while_the_save_waits_for_another_one(self):
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        before = sorted(os.listdir(self.folder))
        process = subprocess.Popen([TENON, "convert", "one.safetensors", "out.safetensors", "--max-shard-size", "8"],
                                   cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while len(self.leftovers()) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_a_device_is_not_replaced(self):
        os.mkfifo(self.folder / "out.safetensors")
        for more in [[], ["--dry-run"]]:
            done = self.expect(4, "convert", "one.safetensors", "out.safetensors", "--force", *more)
            self.assertIn("a device, a pipe or a socket", done.err)
        self.assertTrue((self.folder / "out.safetensors").is_fifo())


def splitmix64(x):
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


class Blueprints(CliTest):
    """What a checkpoint says of its model, and the log beside it."""

    GOLDEN = REPO / "tests/golden/parameter_free_change/checkpoint.blueprint.json"

    def setUp(self):
        super().setUp()
        tensors = {"fc.weight": ("F32", [1], floats(1))}
        self.net = {"schema": "tenon.blueprint/1", "class": "Net",
                    "tensors": [{"name": "fc.weight", "dtype": "float32", "shape": [1]}],
                    "modules": [{"path": "", "type": "Net", "custom": True, "options": {}},
                                {"path": "act", "type": "LeakyReLU", "options": {"negative_slope": 0.2}}],
                    "environment": {"framework": "torch 1.13.1", "cuda": None}, "training": {"epoch": "12"},
                    "parents": [{"digest": "sha256:" + "0" * 64, "file": "before.safetensors"}],
                    "changes": ["module act added: LeakyReLU(negative_slope=0.2)"]}
        self.write("inside.safetensors", safetensors(tensors, {"tenon.blueprint": json.dumps(self.net)}))
        self.write("beside.safetensors", safetensors(tensors))
        self.write("beside.safetensors.blueprint.json", json.dumps(self.net).encode())
        self.write("damaged.safetensors", safetensors(tensors, {"tenon.blueprint": "{"}))

    def blueprint(self, *arguments):
        return self.document(0, "blueprint", *arguments)

    def test_emit_probe_is_what_numpy_reads(self):
        probe = {"seed": 3, "deterministic": True,
                 "inputs": [{"name": "0", "dtype": "float32", "shape": [2, 2], "digest": "sha256:" + "1" * 64,
                             "values": [0.5, 1, -1, 2], "sample": [0.5, 1, -1, 2], "scale": 2},
                            {"name": "1", "dtype": "float16", "shape": [3], "digest": "sha256:" + "2" * 64,
                             "sample": [], "scale": 2}],
                 "outputs": [{"name": "0", "dtype": "float32", "shape": [2], "digest": "sha256:" + "3" * 64,
                              "sample": [7, 8], "scale": 8, "tolerance": 0.25}]}
        self.write("probed.blueprint.json", json.dumps(dict(self.net, probe=probe)).encode())
        self.blueprint("probed.blueprint.json", "--emit-probe", "probe.npz")
        arrays = {}
        with zipfile.ZipFile(self.folder / "probe.npz") as archive:
            for name in archive.namelist():
                data = archive.read(name)
                self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
                end = 10 + int.from_bytes(data[8:10], "little")
                self.assertEqual(end % 64, 0)
                header = ast.literal_eval(data[10:end].decode())
                self.assertFalse(header["fortran_order"])
                code = {"<f4": "f", "<f2": "e", "<f8": "d", "<i8": "q"}[header["descr"]]
                count = math.prod(header["shape"])
                arrays[name] = header["shape"], struct.unpack("<%d%s" % (count, code), data[end:])
        self.assertEqual(arrays["input_0.npy"], ((2, 2), (0.5, 1, -1, 2)))
        # made again: elements 4, 5, 6 of the sequence that begins with seed 3
        self.assertEqual(arrays["input_1.npy"], ((3,), tuple((splitmix64(3 + i) >> 56) / 64 - 2 for i in (4, 5, 6))))
        self.assertEqual(arrays["output_0_sample.npy"], ((2,), (7, 8)))
        self.assertEqual(arrays["output_0_index.npy"], ((2,), (0, 1)))
        self.assertEqual(arrays["output_0_shape.npy"], ((1,), (2,)))
        self.assertEqual(arrays["output_0_tolerance.npy"], ((), (0.25,)))
        self.document(4, "blueprint", "probed.blueprint.json", "--emit-probe", "probe.npz")
        self.blueprint("probed.blueprint.json", "--emit-probe", "probe.npz", "--force")
        self.document(2, "blueprint", "inside.safetensors", "--emit-probe", "none.npz")
        self.assertFalse((self.folder / "none.npz").exists())

    def test_inside_beside_and_alone_say_the_same(self):
        with self.nothing_changes():
            inside, beside = self.blueprint("inside.safetensors"), self.blueprint("beside.safetensors")
            alone = self.blueprint("beside.safetensors.blueprint.json")
        self.assertEqual(inside, beside)
        self.assertEqual(inside, alone)
        self.assertEqual((inside["schema"], inside["class"]), ("tenon.blueprint/1", "Net"))
        for member in ("environment", "training", "parents", "changes"):
            self.assertEqual(inside[member], self.net[member])
        for digest in ("structure", "architecture"):
            self.assertRegex(inside["digests"][digest], "^sha256:[0-9a-f]{64}$")

    def test_the_text_names_modules_options_and_operations(self):
        with self.nothing_changes():
            done = self.expect(0, "blueprint", "inside.safetensors")
            run = self.expect(0, "blueprint", self.GOLDEN)
        self.assertEqual(done.err, "")
        self.assertIn("LeakyReLU(negative_slope=0.2)", done.out)
        self.assertIn("torch 1.13.1", done.out)
        self.assertIn("conv2d [[2,2],[0,0],[1,1],1] -> [25, 32, 5, 5]  in conv2", run.out)
        self.assertIn("[25, 800]", run.out)

    def test_quiet_is_the_architecture_alone(self):
        done = self.expect(0, "blueprint", "inside.safetensors", "--quiet")
        self.assertEqual(done.out, self.blueprint("inside.safetensors")["digests"]["architecture"] + "\n")
        self.assertEqual(done.err, "")

    def test_without_a_blueprint_the_file_tells_names_dtypes_and_shapes(self):
        done = self.expect(0, "blueprint", "one.safetensors")
        self.assertIn("has no blueprint", done.err)
        document = self.blueprint("one.safetensors")
        self.assertEqual([(t["name"], t["dtype"], t["shape"]) for t in document["tensors"]],
                         [("w", "float32", [2]), ("b", "float32", [1])])
        self.assertNotIn("modules", document)
        self.write("again.blueprint.json", json.dumps(document).encode())  # and is one from here on
        self.assertEqual(self.blueprint("again.blueprint.json"), document)
        self.expect(0, "check", "one.safetensors", "--against", "again.blueprint.json")

    def test_a_damaged_blueprint_is_said_and_the_tensors_stay(self):
        done = self.expect(3, "blueprint", "damaged.safetensors")
        self.assertEqual(done.out, "")
        self.assertIn("damaged.safetensors: the blueprint cannot be read", done.err)
        self.assertEqual(self.document(3, "blueprint", "damaged.safetensors")["error"]["code"], "corrupt")
        self.expect(0, "inspect", "damaged.safetensors")
        self.assertIn("blueprint cannot be read",
                      self.expect(0, "check", "damaged.safetensors", "--against", "beside.safetensors").out)

    def test_check_tells_another_function(self):
        other = dict(self.net, modules=[self.net["modules"][0],
                                        {"path": "act", "type": "ReLU", "options": {}}])
        self.write("other.blueprint.json", json.dumps(other).encode())
        document = self.document(1, "check", "inside.safetensors", "--against", "other.blueprint.json")
        self.assertEqual([(c["module"], c["kind"], c["from"], c["to"]) for c in document["architecture"]],
                         [("act", "changed", "LeakyReLU(negative_slope=0.2)", "ReLU()")])
        self.assertEqual(document["causes"][0]["id"], "parameter_free_change")
        same = self.document(0, "check", "inside.safetensors", "--against", "beside.safetensors")
        self.assertEqual((same["proved"], same["architecture"]), ("architecture", []))

    def test_log_documents(self):
        with self.nothing_changes():
            document = self.document(0, "log", "inside.safetensors")
        self.assertEqual(list(document), ["schema", "file", "digest", "parents", "changes", "environment", "training",
                                          "metrics"])
        self.assertEqual((document["schema"], document["file"]), ("tenon.log/1", "inside.safetensors"))
        self.assertRegex(document["digest"], "^sha256:[0-9a-f]{64}$")
        self.assertEqual([p["digest"] for p in document["parents"]], ["sha256:" + "0" * 64])
        for member in ("changes", "environment", "training"):
            self.assertEqual(document[member], self.net[member])
        self.assertEqual(document["metrics"], [])
        bare = self.document(0, "log", "one.safetensors")
        self.assertEqual((bare["digest"], bare["parents"], bare["training"]), (None, [], {}))

    def test_log_append_writes_one_line_beside_the_file(self):
        before = self.files()
        self.expect(0, "log", "inside.safetensors", "--append", "epoch=3", "loss=0.25", "best=true", "note=a = \"b\" ü",
                    "left=null", "version=1.13.1", "list=[1]", "empty=")
        after = self.files()
        line = after.pop("inside.safetensors.log.jsonl").decode()
        self.assertEqual(after, before)  # the checkpoint itself is not touched
        row = {"epoch": 3, "loss": 0.25, "best": True, "note": "a = \"b\" ü", "left": None, "version": "1.13.1",
               "list": "[1]", "empty": ""}
        self.assertEqual(line.count("\n"), 1)
        self.assertEqual(json.loads(line), row)
        document = self.document(0, "log", "inside.safetensors", "--append", "epoch=4")
        self.assertEqual(document["metrics"], [row, {"epoch": 4}])
        self.assertIn('"epoch":4', self.expect(0, "log", "inside.safetensors").out.replace(" ", ""))

    def test_log_survives_a_line_that_a_crash_cut(self):
        self.expect(0, "log", "one.safetensors", "--append", "epoch=1")
        path = self.folder / "one.safetensors.log.jsonl"
        path.write_bytes(path.read_bytes() + b'{"epoch": 2, "lo')
        document = self.document(0, "log", "one.safetensors", "--append", "epoch=3")
        self.assertEqual(document["metrics"], [{"epoch": 1}, {"epoch": 3}])
        self.assertIn("1 line of the log is no JSON object", self.expect(0, "log", "one.safetensors").out)

    def test_log_quiet_is_the_digest_alone(self):
        digest = self.document(0, "log", "inside.safetensors")["digest"]
        self.assertEqual(self.expect(0, "log", "inside.safetensors", "--quiet").out, digest + "\n")
        self.assertEqual(self.expect(0, "log", "one.safetensors", "--quiet").out, "no blueprint\n")

    def test_log_refuses_what_is_no_pair_and_writes_nothing(self):
        for pair in ("loss", "=1", ""):
            with self.subTest(pair=pair), self.nothing_changes():
                self.assertIn("KEY=VALUE", self.expect(2, "log", "one.safetensors", "--append", "a=1", pair).err)
        with self.nothing_changes():
            self.expect(3, "log", "none.safetensors", "--append", "a=1")


class Streams(CliTest):
    def test_a_full_device_is_said(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("this system has no /dev/full")
        for arguments in (["inspect", "one.safetensors"], ["inspect", "one.safetensors", "--json"], ["--help"],
                          ["inspect", "missing.pth", "--json"]):
            with open("/dev/full", "wb") as full:
                done = self.run_tenon(*arguments, stdout=full)
            self.assertEqual(done.returncode, 4, (arguments, done.err))
            self.assertIn("no space left", done.err)

    def test_a_reader_that_goes_away_is_no_error(self):
        names = {f"layer{i}.weight": ("F32", [1], floats(i)) for i in range(20000)}
        self.write("many.safetensors", safetensors(names))
        process = subprocess.Popen([TENON, "inspect", "many.safetensors", "--all"], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 0)

    def test_a_closed_stdout_takes_no_part_in_what_is_written(self):
        done = subprocess.run(["sh", "-c", f'exec "{TENON}" convert one.safetensors out.safetensors >&-'],
                              cwd=self.folder, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.expect(0, "diff", "one.safetensors", "out.safetensors")

    def test_colour(self):
        arguments = ["check", "checkpoint.pth", "--against", "model.safetensors"]
        colour = {"always": [("--color", "always"), {}], "forced": [(), {"CLICOLOR_FORCE": "1"}]}
        for name, (options, env) in colour.items():
            with self.subTest(name=name):
                self.assertIn("\x1b[", self.expect(1, *arguments, *options, env=env).out)
        for options, env in [((), {}), ((), {"CLICOLOR_FORCE": "0"}), ((), {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}),
                             (("--color", "never"), {"CLICOLOR_FORCE": "1"})]:
            self.assertNotIn("\x1b", self.expect(1, *arguments, *options, env=env).out)
        self.assertNotIn("\x1b", self.expect(1, *arguments, "--json", "--color", "always").out)

    def on_terminal(self, env, columns):
        """What the program prints when its stdout is a terminal."""
        import fcntl, termios
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([TENON, "check", "checkpoint.pth", "--against", "model.safetensors"], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=child, stderr=child,
                                   env={"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8", **env})
        os.close(child)
        out = b""
        while True:
            try:
                piece = os.read(parent, 65536) if select.select([parent], [], [], 30)[0] else b""
            except OSError:  # the terminal's other end was closed
                piece = b""
            if not piece:
                break
            out += piece
        os.close(parent)
        self.assertEqual(process.wait(timeout=30), 1)
        return out.decode()

    def test_a_terminal_gets_colour_and_its_width(self):
        self.assertIn("\x1b[", self.on_terminal({}, 80))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", self.on_terminal(env, 80))
        narrow = self.on_terminal({"NO_COLOR": "1"}, 60).replace("\r", "")
        wide = self.on_terminal({"NO_COLOR": "1"}, 140).replace("\r", "")
        self.assertGreater(len(narrow.splitlines()), len(wide.splitlines()))

    def test_tables_fit_the_width(self):
        names = {"encoder." * 12 + f"layer{i}.weight": ("F32", [2], floats(i, i)) for i in range(5)}
        self.write("long.safetensors", safetensors(names))
        for columns in (60, 80, 100):
            for file in ("checkpoint.pth", "long.safetensors"):
                out = self.expect(0, "inspect", file, env={"COLUMNS": str(columns)}).out
                with self.subTest(columns=columns, file=file):
                    self.assertEqual([line for line in out.splitlines() if len(line) > columns], [])

    def test_ascii_where_the_locale_is_not_utf8(self):
        names = {"encoder." * 12 + "weight": ("F32", [2], floats(1, 2))}
        self.write("long.safetensors", safetensors(names))
        for locale in ("C", "POSIX", "de_DE.ISO-8859-1"):
            self.assertTrue(self.expect(0, "inspect", "long.safetensors", env={"LC_ALL": locale}).out.isascii())

    def test_long_lists_are_cut_unless_all_was_asked_for(self):
        names = {f"layer{i}.weight": ("F32", [1], floats(i)) for i in range(500)}
        self.write("many.safetensors", safetensors(names))
        short = self.expect(0, "inspect", "many.safetensors").out
        self.assertIn("(--all)", short)
        self.assertLess(len(short.splitlines()), 60)
        self.assertIn("layer250.weight", self.expect(0, "inspect", "many.safetensors", "--all").out)


if __name__ == "__main__":
    if "--tenon" in sys.argv:
        at = sys.argv.index("--tenon")
        TENON = str(pathlib.Path(sys.argv[at + 1]).resolve())
        del sys.argv[at : at + 2]
    else:
        sys.exit(__doc__)
    unittest.main()
