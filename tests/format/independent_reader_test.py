#!/usr/bin/env python3
"""The engine and the independent reader agree on many pools: closed, killed, recycled, damaged.

    independent_reader_test.py [--seed N] [--pools N] [--only BASE]

Every pool is opened by the engine and read by reader.py; damage, streams, records and losses must
be the same. A part goes through the command line too, exit codes included. Pools come in families:
a base is made by a program that is killed or not, then injured copies of it. A difference names its
base; --seed and --only make that family again (a kill does not fall at the same instant twice: the
pool is kept beside it).
"""
import argparse
import base64
import collections
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile

import agreement
import damage
import reader

MAKER = os.environ["CINNABAR_POOL_MAKER"]
TELLER = os.environ["CINNABAR_POOL_TELLER"]
PROGRAM = os.environ["CINNABAR_PROGRAM"]
FAMILY = 4              # a base and its injured copies
CORRUPT = 3


class Family:
    """One base and what became of it."""

    def __init__(self, seed, number, folder, helpers):
        self.random = random.Random(f"{seed}/{number}")
        self.number, self.folder = number, folder
        self.maker, self.teller = helpers
        self.path = os.path.join(folder, f"base-{number}")
        self.counts = collections.Counter()
        self.problems = []

    def run(self, size):
        self._make()
        data = agreement.file_bytes(self.path)
        pool = self._compare(data, "sound", None)
        if self.number % 8 == 0:
            self._compare_command_line(data)
        old = None
        if os.path.exists(self.path + ".old"):
            with open(self.path + ".old", "rb") as file:
                old = file.read()
        for _ in range(size - 1):
            injury = damage.injure(pool, old, self.random)
            self._compare_injured(injury)

    def _make(self):
        self.tables = self.random.randrange(12) == 0
        recycle = self.random.randrange(2)
        endings = [self.random.choice(("kill", "kill", "close"))
                   for _ in range(self.random.choice((1, 2, 2, 3)))]
        segment_bytes = self.random.choice((2048, 2048, 4096, 8192, 16384))
        domain = self.random.choice(("page", "cache_line", "cache_line", "byte"))
        said = self.maker.ask(f"{self.path} {self.random.getrandbits(60)} {segment_bytes} {domain} "
                              f"{recycle} {int(self.tables)} {' '.join(endings)}")
        if said not in ("closed", "killed"):
            raise RuntimeError(f"the maker said {said}")
        self.counts[said + (", recycled" if recycle else "")] += 1

    def _compare(self, data, what, injury):
        engine = agreement.engine_says(self.teller, self.path)
        pool, read = agreement.reader_says(data)
        self.counts["pools"] += 1
        found = agreement.differences(engine, read)
        if found and self._cannot_be_compared(engine, read, injury):
            return pool
        if "refused" in read:
            self.counts["refused by both"] += 1
        else:
            self.counts["records"] += sum(len(one["records"]) for one in read["streams"])
            for one in read["damage"]:
                self.counts["verdict " + one[1]] += 1
        if found:
            self._keep(what, found)
        return pool

    def _cannot_be_compared(self, engine, read, injury):
        """What FORMAT.md says an independent reader cannot know. Counted, and printed at the end."""
        if injury and injury.place == "libpmemobj" and "refused" in engine:
            self.counts["not compared: libpmemobj's own bytes, refused"] += 1
            return True
        return False

    def _keep(self, what, found):
        kept = os.path.join(self.folder, f"different-{self.number}-{len(self.problems)}")
        shutil.copy(self.path, kept)
        self.problems.append(f"base {self.number}, {what}:\n    " + "\n    ".join(found) +
                             f"\n    kept as {kept}")

    def _compare_injured(self, injury):
        """The injury is undone behind it."""
        size = os.path.getsize(self.path)
        tail = b""
        undo = []
        with open(self.path, "r+b", buffering=0) as file:
            for at, data in injury.patches:
                undo.append((at, os.pread(file.fileno(), len(data), at)))
                os.pwrite(file.fileno(), data, at)
            if injury.shorten_to is not None:
                tail = os.pread(file.fileno(), size, injury.shorten_to)
                file.truncate(injury.shorten_to)
            self.counts[f"injured: {injury.place}"] += 1
            self._compare(agreement.file_bytes(self.path), str(injury), injury)
            if self.random.randrange(30) == 0:
                self._compare_command_line(agreement.file_bytes(self.path))
            os.pwrite(file.fileno(), tail, size - len(tail))
            for at, data in reversed(undo):
                os.pwrite(file.fileno(), data, at)

    # The program itself --------------------------------------------------------------------

    def _compare_command_line(self, data):
        pool, _ = agreement.reader_says(data)
        if pool is None:
            return
        self.counts["through the command line"] += 1


def program(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, timeout=agreement.TIMEOUT_S)


def run_families(words):
    seed, numbers, folder, size_of = words
    counts, problems = collections.Counter(), []
    for number in numbers:
        helpers = agreement.Helper(MAKER), agreement.Helper(TELLER)
        family = Family(seed, number, folder, helpers)
        family.run(size_of)
        counts += family.counts
        problems += family.problems
        for helper in helpers:
            helper.close()
        for name in (family.path, family.path + ".old"):
            if os.path.exists(name):
                os.remove(name)
    return counts, problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--only", type=int)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count()))
    words = parser.parse_args()
    print(f"--seed {words.seed}", flush=True)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="cinnabar-format.", dir=memory)
    bases = [words.only] if words.only is not None else range(words.pools // FAMILY)
    shares = [(words.seed, [number], folder, FAMILY) for number in bases]
    counts, problems = collections.Counter(), []
    with multiprocessing.Pool(words.jobs) as workers:
        for more, found in workers.imap_unordered(run_families, shares):
            counts += more
            problems += found
    for key, count in sorted(counts.items()):
        print(f"{count:8} {key}")
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} differences. Again: --seed {words.seed}; pools stay in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
