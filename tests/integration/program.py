"""Runs the command-line program for the tests of it: each test has a folder of its own, every run
has a time limit, and no run may end by a signal."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["CINNABAR_PROGRAM"]
TIMEOUT_S = 60
OK, USAGE, IO, CORRUPT, GAPS, LOCKED, VERSION, REFUSED = 0, 1, 2, 3, 4, 5, 6, 7


def length_prefixed(records):
    return b"".join(struct.pack("<I", len(record)) + record for record in records)


class ProgramTest(unittest.TestCase):
    def setUp(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="cinnabar-test.", dir=memory)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.pool = os.path.join(self.folder, "pool")

    def run_program(self, *words, stdin=b"", **options):
        """Any exit code, but never a signal and never without end."""
        done = subprocess.run([PROGRAM, *map(str, words)], input=stdin, capture_output=True,
                              timeout=TIMEOUT_S, **options)
        self.assertGreaterEqual(done.returncode, 0, f"{words}: {done.stderr}")
        return done

    def expect(self, code, *words, **options):
        done = self.run_program(*words, **options)
        self.assertEqual(done.returncode, code, f"{words}: {done.stderr.decode()}")
        if code not in (OK, USAGE):
            self.assertRegex(done.stderr, rb"^cinnabar: ", "the sentence is on stderr")
        return done

    def small_tmpfs(self, size):
        """A tmpfs in the test's folder, where this process may mount one."""
        place = os.path.join(self.folder, "small")
        os.mkdir(place)
        if os.getuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place],
                stderr=subprocess.DEVNULL).returncode != 0:
            return None
        self.addCleanup(subprocess.run, ["umount", "-l", place])
        return place

    def ok(self, *words, **options):
        return self.expect(OK, *words, **options).stdout

    def ok_json(self, *words, **options):
        document = json.loads(self.ok(*words, "--json", **options))
        self.assertEqual(document["schema"], 1)
        return document

    def create(self, *words, stream="s", writers="one"):
        self.ok("create", self.pool, "--size", "16M", "--segment-size", "64K", *words)
        self.ok("stream", "add", self.pool, stream, "--writers", writers)

    def append(self, data, *words, stream="s"):
        return self.ok("append", self.pool, "--stream", stream, *words, stdin=data)

    def dump(self, *words, stream="s"):
        return self.ok("dump", self.pool, "--stream", stream, *words)

    def records(self):
        return [json.loads(line) for line in self.dump("--json").splitlines()]

    def file_bytes(self):
        with open(self.pool, "rb") as file:
            return file.read()

    def patch(self, offset, data):
        with open(self.pool, "r+b") as file:
            file.seek(offset)
            file.write(data)
