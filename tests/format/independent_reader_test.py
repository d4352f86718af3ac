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
import collections
import functools
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile

import agreement
import craft
import damage
import reader

MAKER = os.environ["CINNABAR_POOL_MAKER"]
TELLER = os.environ["CINNABAR_POOL_TELLER"]
PROGRAM = os.environ["CINNABAR_PROGRAM"]
FAMILY = 5              # a base and its injured copies


# Pools of a family differ in few bytes: most of what is summed was summed before.
reader.crc = functools.lru_cache(1 << 15)(reader.crc)


def gap_runs(damage, stream):
    """The gaps of a stream as check tells them: those that touch, in the log and in the file, are
    one."""
    runs = []
    gaps = [one for one in damage if one["verdict"] == "gap" and one["stream"] == stream]
    for one in sorted(gaps, key=lambda one: one["lsn"]):
        last = runs[-1] if runs else None
        if (last and last["end_lsn"] == one["lsn"] and
                last["offset_bytes"] + last["length_bytes"] == one["offset_bytes"]):
            last["end_lsn"] += one["length_bytes"]
            last["length_bytes"] += one["length_bytes"]
        else:
            runs.append({"begin_lsn": one["lsn"], "end_lsn": one["lsn"] + one["length_bytes"],
                         "offset_bytes": one["offset_bytes"], "length_bytes": one["length_bytes"]})
    return runs


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
        ended = self._make()
        data = agreement.file_bytes(self.path)
        changing = self.tables and ended == "killed"
        pool = self._compare(data, "sound", None, changing)
        if changing:    # or an injured row may be put back over the injury
            pool = self._put_back_by_libpmemobj()
        if self.number % 8 == 0:
            self._compare_command_line(data)
        old = None
        if os.path.exists(self.path + ".old"):
            with open(self.path + ".old", "rb") as file:
                old = file.read()
        if self.number % 4 == 1:
            size -= 1
            pool = self._craft(pool)
        for _ in range(size - 1):
            self._compare_injured(pool, damage.injure(pool, old, self.random))

    def _craft(self, pool):
        """Gaps and carried copies, which this pool then holds for good."""
        self._patch(craft.some(pool, self.random))
        self.counts["with gaps and carried copies by hand"] += 1
        return self._compare(agreement.file_bytes(self.path), "crafted", None)

    def _patch(self, patches):
        """Gives back what stood there."""
        undo = []
        with open(self.path, "r+b", buffering=0) as file:
            for at, data in patches:
                undo.insert(0, (at, os.pread(file.fileno(), len(data), at)))
                os.pwrite(file.fileno(), data, at)
        return undo

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
        return said

    def _compare(self, data, what, injury, changing=False):
        engine = agreement.engine_says(self.teller, self.path)
        pool, read = agreement.reader_says(data)
        found = agreement.differences(engine, read)
        if found and changing:
            self.counts["not compared before it was opened once: rows in a change"] += 1
            return pool
        self.counts["pools"] += 1
        if found and injury and injury.place == "libpmemobj" and "refused" in engine:
            self.counts["not compared: refused for libpmemobj's own bytes"] += 1
            return pool
        self._count(read)
        if found:
            self._keep(what, found)
        return pool

    def _put_back_by_libpmemobj(self):
        """Section 3.5: rows in the middle of a change are compared once they are put back."""
        said = json.loads(self.teller.ask("append " + self.path))
        if "error" in said:
            self._keep("opened once", [str(said)])
        return self._compare(agreement.file_bytes(self.path), "opened once", None)

    def _count(self, read):
        if "refused" in read:
            self.counts["refused by both"] += 1
            return
        for stream in read["streams"]:
            self.counts["records"] += len(stream["records"])
            self.counts["losses"] += len(stream["losses"])
            self.counts["end " + stream["end_verdict"]] += 1
        for one in read["damage"]:
            self.counts["verdict " + one[1]] += 1

    def _keep(self, what, found):
        kept = os.path.join(self.folder, f"different-{self.number}-{len(self.problems)}")
        shutil.copy(self.path, kept)
        self.problems.append(f"base {self.number}, {what}:\n    " + "\n    ".join(found) +
                             f"\n    kept as {kept}")

    def _compare_injured(self, pool, injury):
        """The injury is undone behind it."""
        undo = self._patch(injury.patches)
        size = os.path.getsize(self.path)
        if injury.shorten_to is not None:
            undo.append((injury.shorten_to, pool.data[injury.shorten_to:]))
            os.truncate(self.path, injury.shorten_to)
        self.counts[f"injured: {injury.place}"] += 1
        data = agreement.file_bytes(self.path)
        self._compare(data, str(injury), injury)
        if injury.place != "libpmemobj" and self.random.randrange(16) == 0:
            self._compare_command_line(data)
        os.truncate(self.path, size)
        self._patch(undo)

    # The program itself --------------------------------------------------------------------

    def _compare_command_line(self, data):
        """check and dump, their exit codes included."""
        try:
            pool = reader.Pool(data)
        except reader.Refused as refused:
            self._expect("check's exit code", program("check", self.path).returncode,
                         reader.exit_code(refused))
            return
        expected, code = reader.check_json(pool)
        self.counts["through the command line"] += 1
        done = program("check", self.path, "--json")
        said = json.loads(done.stdout)
        for stream in said["streams"]:
            self._expect("check's gaps", stream.pop("gaps"),
                         gap_runs(expected["damage"], stream["name"]))
        self._expect("check's streams", said["streams"], expected["streams"])
        for one in expected["damage"]:
            if one["verdict"] == "missing_segment":  # it lies nowhere in the file
                one["offset_bytes"] = one["length_bytes"] = None
        self._expect("check's damage", in_order(said["damage"]), in_order(expected["damage"]))
        self._expect("check's exit code", done.returncode, code)
        for name in [stream.name for stream in pool.streams] + ["no such stream"]:
            self._compare_dump(pool, name)

    def _compare_dump(self, pool, name):
        stream, records, code = reader.dump(pool, name)
        # Emulated, what the frames testify counts, whoever wrote them.
        lines = program("dump", self.path, "--stream", name, "--json", "--emulate", "byte")
        said = [json.loads(line) for line in lines.stdout.splitlines()]
        said = [one for one in said if "error" not in one]
        for one in said:
            del one["emulated"]
        self._expect(f"dump --json of {name}", said,
                     [reader.record_json(stream, record) for record in records])
        plain = program("dump", self.path, "--stream", name)
        self._expect(f"dump of {name}", plain.stdout,
                     b"".join(record.payload for record in records))
        self._expect(f"dump's exit codes of {name}", (lines.returncode, plain.returncode),
                     (code, code))

    def _expect(self, what, said, expected):
        if said != expected:
            self._keep("command line", [f"{what}: {said}, reader {expected}"])


def in_order(damage):
    return sorted(damage, key=json.dumps)


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
