"""A flipped bit in every class of byte that FORMAT.md, section 9, names, through the program: what
is covered is found by check with its verdict, its bytes and exit code 3, what is free has no
effect. Offsets are those of FORMAT.md. tests/unit/log/byte_class_test.cpp does the same through
the library."""
import json
import os
import random
import struct
import subprocess
import unittest

from program import CORRUPT, OK, PROGRAM, ProgramTest

SEGMENT = 64 << 10
FRAMES = 512
SPAN = SEGMENT - FRAMES
LINES = [b"record number %06d, %s\n" % (i, b"y" * (i % 150)) for i in range(2000)]


class ByteClass(ProgramTest):
    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("CINNABAR_SEED", random.randrange(2**32)))
        print(f"CINNABAR_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.create()
        self.ok("stream", "add", self.pool, "other")
        self.ok("service", "add", self.pool, "moving", "--stream", "s")
        self.ok("service", "add", self.pool, "still", "--stream", "other")
        self.append(b"".join(LINES), "--force", "10", "--emulate", "cache_line")
        self.lsns = [record["lsn"] for record in self.records()]
        for mark in (600, 1000):
            self.ok("release", self.pool, "--service", "moving", "--to", self.lsns[mark])
        self.keep()
        self.catalogue = self.sound.find(b"CINNABAR")
        self.kept = self.segment_of(1500)
        # A segment that was never prepared.
        self.untouched = self.kept
        while any(self.sound[self.untouched:self.untouched + SEGMENT]):
            self.untouched += SEGMENT

    def keep(self):
        self.sound = self.file_bytes()

    def place_of(self, number):
        return self.sound.find(LINES[number]) - 32

    def segment_of(self, number):
        return self.place_of(number) - FRAMES - self.lsns[number] % SPAN

    def each_flip(self, offset, length, judge):
        """Flips a bit of the first byte, of the last and of one between, one at a time."""
        for at in {offset, offset + length - 1, offset + self.random.randrange(length)}:
            bit = self.random.randrange(8)
            with self.subTest(byte=at - offset, bit=bit):
                self.patch(at, bytes([self.sound[at] ^ 1 << bit]))
                try:
                    judge(at)
                finally:
                    with open(self.pool, "r+b") as file:
                        file.write(self.sound)

    def expect_found(self, offset, length, verdict):
        def judge(at):
            done = self.expect(CORRUPT, "check", self.pool, "--json")
            found = [(one["verdict"], one["offset_bytes"], one["length_bytes"])
                     for one in json.loads(done.stdout)["damage"]]
            self.assertTrue(any(one == verdict and begin <= at < begin + size
                                for one, begin, size in found), (at, found))
        self.each_flip(offset, length, judge)

    def expect_no_effect(self, offset, length):
        def judge(_):
            self.ok("check", self.pool)
            self.assertEqual(self.dump(), b"".join(LINES[1000:]))
        self.each_flip(offset, length, judge)

    def test_covered_in_the_catalogue(self):
        for offset, length, verdict in (
                (0, 512, "corrupt_superblock_copy"), (4096, 512, "corrupt_superblock_copy"),
                (640, 64, "corrupt_row"), (8192, 128, "corrupt_row"),
                (8192 + 63 * 128, 128, "corrupt_row"), (16384, 128, "corrupt_row"),
                (16384 + 5 * 128, 128, "corrupt_row"),
                (24576 + 64, 16, "corrupt_register")):    # of 'still': it has one slot
            self.expect_found(self.catalogue + offset, length, verdict)

    def test_covered_in_segments(self):
        self.expect_found(self.kept, 64, "one_header_copy")
        self.expect_found(self.kept + 256, 64, "one_header_copy")
        self.expect_found(self.untouched + 256, 64, "corrupt_segment_header")
        self.expect_found(self.kept + FRAMES, 64, "corrupt_link")
        begin = self.ok_json("info", self.pool)["streams"][0]["begin_lsn"]
        released = [at for at in range(self.kept % SEGMENT, len(self.sound) - SEGMENT, SEGMENT)
                    if self.is_linked(at) and
                    struct.unpack_from("<Q", self.sound, at + FRAMES + 16)[0] < begin]
        self.assertTrue(released, "no segment was released and not prepared anew since")
        self.expect_found(released[0] + FRAMES, 64, "corrupt_link")

    def is_linked(self, segment):
        """A header, and frame 0 in its generation."""
        return (self.sound[segment:segment + 8] == b"CSEGMENT" and
                self.sound[segment + 8:segment + 12] ==
                self.sound[segment + FRAMES:segment + FRAMES + 4])

    def test_covered_frames(self):
        frame = self.place_of(1500)
        self.expect_found(frame, 4, "corrupt_stale")
        self.expect_found(frame + 8, 24, "corrupt_sum")
        self.expect_found(frame + 32, len(LINES[1500]), "corrupt_sum")
        fill = -(32 + len(LINES[1500])) % 64
        if fill:
            self.expect_found(frame + 32 + len(LINES[1500]), fill, "corrupt_sum")

    def test_a_pad_is_covered_in_its_first_line_alone(self):
        at = self.kept + FRAMES
        while True:
            word, = struct.unpack_from("<I", self.sound, at + 4)
            if word >> 29 == 3:
                break
            at += (32 + (word & 0xFFFFFFF) + 63) // 64 * 64
        self.expect_found(at + 8, 56, "corrupt_sum")
        rest = self.kept + SEGMENT - at - 64
        if rest:
            self.expect_no_effect(at + 64, rest)

    def test_free_bytes_have_no_effect(self):
        for offset, length in ((704, 3392), (4608, 3584), (512 + 32, 32), (576 + 32, 32),
                               (24576 + 32, 32), (24576 + 2 * 64, 62 * 64)):
            self.expect_no_effect(self.catalogue + offset, length)
        self.expect_no_effect(self.kept + 64, 192)
        self.expect_no_effect(self.kept + 320, 192)
        self.expect_no_effect(self.untouched, 64)
        self.expect_no_effect(self.untouched + FRAMES, SEGMENT - FRAMES)
        end = self.segment_of(1999) + SEGMENT
        behind = self.place_of(1999) + 256 + 64
        self.expect_no_effect(behind, end - behind)

    def test_the_newest_value_of_a_register(self):
        """The older mark holds again, and shows records that were released."""
        line = self.catalogue + 24576
        values = struct.unpack_from("<QQQQ", self.sound, line)[::2]
        self.assertEqual(sorted(values), [self.lsns[600], self.lsns[1000]])
        newest = line + (0 if values[0] > values[1] else 16)

        def judge(_):
            done = self.run_program("service", "list", self.pool, "--json")
            self.assertEqual(json.loads(done.stdout)["services"][0]["low_water_lsn"],
                             self.lsns[600])
            done = self.run_program("check", self.pool)
            self.assertIn(done.returncode, (OK, CORRUPT))
            if done.returncode == CORRUPT:
                self.assertIn(b"missing_segment", done.stdout)
        self.each_flip(newest, 16, judge)

    def test_beyond_testimony(self):
        """The last record of a life that was killed looks like one that was never finished."""
        with subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(b"one\ntwo\n")
            process.stdin.flush()
            process.stdout.readline()
            process.stdout.readline()
            process.kill()
        self.keep()

        def judge(_):
            self.ok("check", self.pool)
            self.assertEqual(self.dump(), b"".join(LINES[1000:]) + b"one\n")
        self.each_flip(self.sound.find(b"two\n") - 32, 64, judge)

    def test_libpmemobjs_own(self):
        def judge(_):
            done = self.run_program("dump", self.pool, "--stream", "s")
            self.assertIn(done.returncode, (OK, CORRUPT), done.stderr)
            if done.returncode == OK:
                self.assertEqual(done.stdout, b"".join(LINES[1000:]))
            else:
                self.assertIn(self.pool.encode(), done.stderr)
        for offset, length in ((0, 4096), (4096, 4096), (8192, 3072)):
            self.each_flip(offset, length, judge)


if __name__ == "__main__":
    unittest.main()
