"""Pairs, A/B/A/B in one run: one figure is never compared with another run's.

A sample is seconds; a pair is (baseline, tenon) side by side; what counts is the ratio of a pair. Between the two, 512 MiB are copied between warm
buffers: a pair whose yardsticks differ by more than a quarter is thrown away, since the machine was busy with something else.
"""
import json
import os
import statistics
import subprocess
import threading
import time

QUIET = 1.25


class Worker:
    """A process that answers line by line. Where it dies, the answer is an error and the measurement is left out."""

    def __init__(self, command, as_json):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.as_json = as_json

    def ask(self, *words, **request):
        line = json.dumps(request) if self.as_json else " ".join(map(str, words))
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline() or '{"error": "the process died"}')
        except BrokenPipeError:
            answer = {"error": "the process died"}
        if "error" in answer:
            raise RuntimeError("{}: {}".format(line[:60], answer["error"]))
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run(*command):
    """A whole process: seconds from its start to its end, CPU seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode not in (0, 1) or (process.returncode == 1 and complaint):
        raise RuntimeError("{}: exit {}: {}".format(os.path.basename(command[0]), process.returncode, complaint.decode()[:300]))
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime}


def memory_peak(*command):
    """The most memory that a process was seen with, looked at every millisecond, as (private, resident): pages of mapped files are resident, and
    anonymous ones alone are private. Not from getrusage(), whose peak counts the parent's memory at the fork."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = {"RssAnon:": 0, "VmHWM:": 0}

    def watch():
        while process.returncode is None:
            try:
                with open("/proc/{}/status".format(process.pid)) as status:
                    fields = [line.split() for line in status]
            except OSError:
                return
            for words in fields:
                if words[0] in most:
                    most[words[0]] = max(most[words[0]], 1024 * int(words[1]))
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    watcher.join()
    return most["RssAnon:"], most["VmHWM:"]


def quartiles(values):
    """(least, worst quartile, median, greatest); the worst quartile of a speed-up is the lower one."""
    ordered = sorted(values)
    return ordered[0], ordered[(len(ordered) - 1) // 4], statistics.median(ordered), ordered[-1]


class Series:
    """Runs pairs with a yardstick between them."""

    def __init__(self, limits, pairs):
        self.limits, self.pairs = limits, pairs

    def yardstick(self):
        return min(self.limits.ask("memcpy")["seconds"] for _ in range(2))

    def take(self, baseline, subject, pairs=None):
        """`pairs` of answers after one warm-up of each, and how many pairs were thrown away. At most as many again are tried."""
        wanted = min(pairs or self.pairs, self.pairs)
        baseline(), subject()
        kept, thrown = [], 0
        while len(kept) < wanted:
            before = self.yardstick()
            one = baseline()
            between = self.yardstick()
            other = subject()
            after = self.yardstick()
            marks = [before, between, after]
            row = {"baseline": one, "tenon": other, "yardsticks": marks, "quiet": max(marks) <= QUIET * min(marks)}
            if row["quiet"] or thrown >= wanted:
                kept.append(row)
            else:
                thrown += 1
        return kept, thrown
