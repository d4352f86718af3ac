"""Golden pools: of every format that was released, read the same for ever.

Each is unpacked into a folder of its own. The engine, the independent reader and the command line
must read what stands in the JSON file beside it; nothing of the file may change by that. A sound
one is then opened for writing: a record can be appended, and the old ones are still there. One that
is damaged is refused, and reads the same afterwards.
"""
import glob
import hashlib
import json
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "format"))

import agreement    # noqa: E402 (its folder has to be known first)
import digest       # noqa: E402

PROGRAM = os.environ["CINNABAR_PROGRAM"]
POOLS = sorted(glob.glob(os.path.join(HERE, "v*", "*.pool.xz")))
# No reason to refuse an open for writing, which mends the second.
SURVIVED = ("gap", "corrupt_superblock_copy")


def digests_of(payload_hex):
    payload = bytes.fromhex(payload_hex)
    return [len(payload), hashlib.sha256(payload).hexdigest()[:16]]


def without_known_durable(records):
    """An open for writing makes durable what it accepts."""
    return [one[:6] + one[7:] for one in records]


def digests(dumped):
    """Of the records of a dump, each behind its length."""
    found = []
    while dumped:
        length, = struct.unpack_from("<I", dumped)
        payload, dumped = dumped[4:4 + length], dumped[4 + length:]
        found.append(digests_of(payload.hex()))
    return found


class GoldenPools(unittest.TestCase):
    def setUp(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="cinnabar-golden.", dir=memory)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.teller = agreement.Helper(os.environ["CINNABAR_POOL_TELLER"])
        self.addCleanup(self.teller.close)

    def unpack(self, packed):
        name = os.path.basename(packed).removesuffix(".pool.xz")
        self.path = os.path.join(self.folder, name)
        with lzma.open(packed) as file:
            self.data = file.read()
        with open(self.path, "wb") as file:
            file.write(self.data)
        with open(packed.removesuffix(".pool.xz") + ".json", encoding="utf-8") as file:
            self.expected = json.load(file)

    def test_there_are_some(self):
        self.assertGreaterEqual(len(POOLS), 8)
        for name in glob.glob(os.path.join(HERE, "v*", "*.json")):
            self.assertIn(name.removesuffix(".json") + ".pool.xz", POOLS)

    def test_each(self):
        for packed in POOLS:
            with self.subTest(pool=os.path.relpath(packed, HERE)):
                self.unpack(packed)
                self.read_by_both()
                self.read_by_the_program()
                with open(self.path, "rb") as file:
                    self.assertEqual(file.read(), self.data, "reading changes nothing")
                if any(one[1] not in SURVIVED for one in self.expected["damage"]):
                    self.refused_for_writing()
                else:
                    self.appended_to()

    def engine_says(self):
        said = agreement.engine_says(self.teller, self.path)
        self.assertNotIn("refused", said, said)
        return digest.digested(said)

    def read_by_both(self):
        self.assertEqual(agreement.differences(self.engine_says(), self.expected), [])
        _, read = agreement.reader_says(self.data)
        read = json.loads(json.dumps(digest.digested(read)))
        self.assertEqual(read, {key: self.expected[key] for key in read})

    def read_by_the_program(self):
        done = subprocess.run([PROGRAM, "check", self.path, "--json"], capture_output=True)
        self.assertEqual(done.returncode, self.expected["check_exit_code"])
        self.assertEqual(len(json.loads(done.stdout)["damage"]), len(self.expected["damage"]))
        for stream in self.expected["streams"]:
            done = subprocess.run([PROGRAM, "dump", self.path, "--stream", stream["name"],
                                   "--length-prefixed"], capture_output=True)
            self.assertEqual(done.returncode, self.expected["dump_exit_codes"][stream["name"]])
            self.assertEqual(digests(done.stdout), [one[7:] for one in stream["records"]])

    def appended_to(self):
        said = json.loads(self.teller.ask("append " + self.path))
        self.assertNotIn("error", said)
        after = self.engine_says()
        _, read = agreement.reader_says(agreement.file_bytes(self.path))
        self.assertEqual(agreement.differences(after, digest.digested(read)), [])
        self.assertEqual(after["damage"],
                         [one for one in self.expected["damage"] if one[1] == "gap"])
        self.assertEqual(after["services"], self.expected["services"])
        for then, now, (name, lsn, payload) in zip(self.expected["streams"], after["streams"],
                                                   said["appended"], strict=True):
            self.assertEqual(name, then["name"])
            self.assertEqual(without_known_durable(now["records"][:-1]),
                             without_known_durable(then["records"]))
            newest = now["records"][-1]
            self.assertEqual((newest[0], newest[7:]), (lsn, digests_of(payload)))
            self.assertGreaterEqual(lsn, then["end_lsn"])

    def refused_for_writing(self):
        said = json.loads(self.teller.ask("append " + self.path))
        self.assertEqual(said.get("error", {}).get("code"), "corrupt")
        self.assertEqual(agreement.differences(self.engine_says(), self.expected), [])


if __name__ == "__main__":
    unittest.main()
