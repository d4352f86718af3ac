"""Flipped bits and cut files: found with position and exit code 3; never a crash, never an endless
loop. Positions are found by what stands in the file, not by knowing its layout."""
import json
import os
import random
import re
import subprocess
import unittest

from program import CORRUPT, GAPS, IO, OK, VERSION, ProgramTest

LINE = 64
MARKS = [b"CINNABAR", b"CSEGMENT"]


class Damage(ProgramTest):
    def setUp(self):
        super().setUp()
        self.create()
        self.ok("service", "add", self.pool, "reader", "--stream", "s")
        self.lines = [b"record number %06d, %s\n" % (i, b"y" * (i % 150)) for i in range(2000)]
        self.append(b"".join(self.lines), "--force", "10", "--emulate", "cache_line")
        self.sound = self.file_bytes()
        self.lsns = [record["lsn"] for record in self.records()]

    def mend(self):
        with open(self.pool, "r+b") as file:
            file.write(self.sound)

    def flip(self, offset, bit=0):
        self.patch(offset, bytes([self.sound[offset] ^ 1 << bit]))

    def place_of(self, number):
        """Where the payload of a record begins in the file."""
        place = self.sound.find(self.lines[number])
        self.assertGreater(place, 0)
        return place

    def damage(self):
        done = self.expect(CORRUPT, "check", self.pool, "--json")
        return json.loads(done.stdout)["damage"]

    def expect_damage_at(self, number, place):
        found = [one for one in self.damage() if one["stream"] == "s"]
        self.assertEqual([one["lsn"] for one in found], [self.lsns[number]])
        begin = found[0]["offset_bytes"]
        self.assertLessEqual(begin, place)
        self.assertLess(place, begin + found[0]["length_bytes"])
        done = self.expect(CORRUPT, "check", self.pool)
        self.assertIn(f"LSN {self.lsns[number]}, file bytes {begin} to".encode(), done.stdout)

    def test_every_byte_of_a_frame(self):
        """The frame's header of 32 bytes before the payload, and the payload."""
        number = 700
        place = self.place_of(number)
        for offset in list(range(-32, 0)) + [0, len(self.lines[number]) - 1]:
            with self.subTest(offset=offset):
                self.mend()
                self.flip(place + offset, bit=offset % 8)
                self.expect_damage_at(number, place)

    def test_dump_gives_what_stands_before(self):
        self.flip(self.place_of(700))
        done = self.expect(CORRUPT, "dump", self.pool, "--stream", "s")
        self.assertEqual(done.stdout, b"".join(self.lines[:700]))
        self.assertIn(f"LSN {self.lsns[700]}".encode(), done.stderr)
        later = 1500    # in a later segment
        self.assertGreater(self.lsns[later], self.lsns[700] + (64 << 10))
        self.assertEqual(self.dump("--from", self.lsns[later]), b"".join(self.lines[later:]))

    def test_the_last_record_of_a_closed_log(self):
        self.flip(self.place_of(1999))
        self.expect_damage_at(1999, self.place_of(1999))

    def test_two_places_are_two_damages(self):
        for number in (300, 1500):
            self.flip(self.place_of(number))
        self.assertEqual([one["lsn"] for one in self.damage() if one["stream"] == "s"],
                         [self.lsns[300], self.lsns[1500]])

    def places_of(self, mark):
        place, places = self.sound.find(mark), []
        while place >= 0:
            places.append(place)
            place = self.sound.find(mark, place + 1)
        return places

    def test_one_copy_of_the_superblock(self):
        """The other copy serves: the records are there, and check names the bytes."""
        copies = self.places_of(b"CINNABAR")
        self.assertEqual(len(copies), 2)
        for copy in copies:
            with self.subTest(copy=copy):
                self.mend()
                self.flip(copy + 100)
                self.assertEqual(self.dump(), b"".join(self.lines))
                done = self.run_program("check", self.pool)
                self.assertIn(done.returncode, (OK, CORRUPT))
                self.assertIn(f"bytes {copy} to {copy + 512}".encode(),
                              done.stdout + done.stderr)

    def test_both_copies_of_the_superblock(self):
        for copy in self.places_of(b"CINNABAR"):
            self.flip(copy + 100)
        for words in (["check"], ["info"], ["dump", "--stream", "s"], ["append", "--stream", "s"]):
            done = self.expect(CORRUPT, *words, self.pool)
            self.assertRegex(done.stderr, rb"superblock")

    def test_the_head_of_the_file(self):
        """libpmemobj's signature, format and layout name: no open can do without, a salvage can."""
        new = os.path.join(self.folder, "new")
        for offset, length in ((0, 8), (8, 4), (4096, 1024)):
            for bit in (0, 7):
                with self.subTest(offset=offset, bit=bit):
                    self.mend()
                    self.flip(offset, bit)
                    damaged = self.file_bytes()
                    for words in (["check"], ["check", "--json"], ["info"],
                                  ["dump", "--stream", "s"], ["append", "--stream", "s"]):
                        done = self.expect(CORRUPT, *words, self.pool, stdin=b"x\n")
                        self.assertIn(f"(bytes {offset} to {offset + length})".encode(),
                                      done.stderr)
                        self.assertIn(b"cinnabar salvage", done.stderr)
                        done.stderr.decode()
                    self.assertTrue(self.file_bytes() == damaged)
                    self.ok("salvage", self.pool, new)
                    self.assertEqual(self.ok("dump", new, "--stream", "s"), b"".join(self.lines))
                    os.remove(new)

    def test_neither_head_nor_superblock(self):
        """Nothing tells it from a file that is no pool."""
        for place in (0, *(copy + 100 for copy in self.places_of(b"CINNABAR"))):
            self.flip(place)
        new = os.path.join(self.folder, "new")
        for words in (["check", self.pool], ["salvage", self.pool, new]):
            done = self.expect(IO, *words)
            self.assertIn(b"is not a pool, or its head and its superblocks are damaged",
                          done.stderr)
        self.assertFalse(os.path.exists(new))

    def test_segment_headers(self):
        headers = self.places_of(b"CSEGMENT")
        self.assertGreater(len(headers), 4)
        self.flip(headers[0] + 8)
        self.assertEqual(self.dump(), b"".join(self.lines))
        one = [one for one in self.damage() if "header" in one["verdict"]]
        self.assertLessEqual(one[0]["offset_bytes"], headers[0] + 8)
        self.flip(headers[1] + 8)
        damage = self.damage()
        self.assertTrue(any("header" in one["verdict"] for one in damage), damage)
        self.expect(CORRUPT, "append", self.pool, "--stream", "s", stdin=b"x\n")

    def test_damage_is_never_written_over(self):
        headers = self.places_of(b"CSEGMENT")
        self.flip(headers[0] + 8)
        self.flip(headers[1] + 8)
        damaged = self.file_bytes()
        self.expect(CORRUPT, "append", self.pool, "--stream", "s", "--emulate", "cache_line",
                    stdin=b"x\n")
        self.expect(CORRUPT, "stream", "add", self.pool, "t", "--emulate", "cache_line")
        # libpmemobj keeps notes of each open in its own header, ahead of our data.
        ours = self.sound.find(b"CINNABAR")
        self.assertTrue(damaged[ours:] == self.file_bytes()[ours:])

    def test_names_of_streams_and_services(self):
        for name in (b"reader\0",):
            self.mend()
            self.flip(self.sound.find(name))
            done = self.expect(CORRUPT, "check", self.pool)
            self.assertRegex(done.stdout + done.stderr, rb"bytes \d+ to \d+")

    def test_flips_anywhere_never_crash(self):
        seed = int(os.environ.get("CINNABAR_SEED", random.randrange(2**32)))
        print(f"CINNABAR_SEED={seed}", flush=True)
        source = random.Random(seed)
        edges = [place for mark in MARKS for place in self.places_of(mark)]
        last = self.place_of(1999) + 4096
        for turn in range(60):
            self.mend()
            for _ in range(source.choice([1, 1, 3, 20])):
                offset = source.choice([source.randrange(len(self.sound)),
                                        source.choice(edges) + source.randrange(512),
                                        source.randrange(4096),
                                        source.randrange(min(last, len(self.sound)))])
                self.flip(offset, source.randrange(8))
            with self.subTest(turn=turn):
                for words in (["check"], ["dump", "--stream", "s"], ["info"],
                              ["append", "--stream", "s"]):
                    done = self.run_program(*words, self.pool, stdin=b"one more\n")
                    self.assertIn(done.returncode, (OK, IO, CORRUPT, VERSION), done.stderr)

    def lose_page(self, place, offset):
        """A page that cannot be read any more: a hole, and no room on the file system for it."""
        page = offset // 4096 * 4096
        subprocess.run(["fallocate", "--punch-hole", "--offset", str(page), "--length", "4096",
                        self.pool], check=True)
        with open(os.path.join(place, "filler"), "wb", buffering=0) as filler:
            with self.assertRaises(OSError):
                while True:
                    filler.write(bytes(4096))
        return page

    def move_to(self, place):
        self.pool = os.path.join(place, "pool")
        with open(self.pool, "wb") as file:
            file.write(self.sound)

    def test_a_page_that_cannot_be_read(self):
        place = self.small_tmpfs("18m")
        if not place:
            self.skipTest("only where a small tmpfs can be mounted")
        self.move_to(place)
        page = self.lose_page(place, self.place_of(700))
        found = self.damage()
        self.assertEqual([(one["stream"], one["verdict"]) for one in found],
                         [("s", "corrupt_unreadable")])
        begin, length = found[0]["offset_bytes"], found[0]["length_bytes"]
        self.assertLessEqual(begin, page + 4095)
        self.assertGreaterEqual(begin + length, page + 4096)
        number = self.lsns.index(found[0]["lsn"])
        self.assertEqual(begin + 32, self.place_of(number))
        done = self.expect(CORRUPT, "dump", self.pool, "--stream", "s")
        self.assertEqual(done.stdout, b"".join(self.lines[:number]))
        self.assertIn(b"corrupt_unreadable", done.stderr)
        self.assertIn(f"LSN {self.lsns[number]}".encode(), done.stderr)
        self.assertEqual(self.dump("--from", self.lsns[1500]), b"".join(self.lines[1500:]))
        new = os.path.join(self.folder, "new")
        self.expect(GAPS, "salvage", self.pool, new)
        saved = self.expect(GAPS, "dump", new, "--stream", "s").stdout.splitlines(keepends=True)
        lost = [line for line in self.lines if line not in saved]
        first = self.lines.index(lost[0])
        self.assertEqual(lost, self.lines[first:first + len(lost)], "in one place")
        self.assertLess(len(lost), 4096 // 64 + 3)
        self.append(b"one more\n", "--emulate", "cache_line")    # the end of the log is sound

    def test_a_page_that_a_writable_open_needs(self):
        place = self.small_tmpfs("18m")
        if not place:
            self.skipTest("only where a small tmpfs can be mounted")
        self.move_to(place)
        page = self.lose_page(place, self.place_of(1999))
        done = self.expect(CORRUPT, "append", self.pool, "--stream", "s", stdin=b"x\n")
        match = re.search(rb"'([^']*)' cannot be reached any more at file byte (\d+): ",
                          done.stderr)
        self.assertEqual(match[1], self.pool.encode())
        self.assertEqual(int(match[2]) // 4096 * 4096, page)
        done = self.expect(CORRUPT, "check", self.pool)
        self.assertIn(b"corrupt_unreadable in stream 's' at LSN", done.stdout)

    def test_a_page_that_is_lost_while_the_pool_is_opened(self):
        """Copied with holes for zeros, where libpmemobj reads before anybody else."""
        place = self.small_tmpfs("18m")
        if not place:
            self.skipTest("only where a small tmpfs can be mounted")
        self.move_to(place)
        self.lose_page(place, 1 << 20)      # among libpmemobj's own logs
        for words in (["check"], ["append", "--stream", "s"]):
            done = self.expect(CORRUPT, *words, self.pool, stdin=b"x\n")
            self.assertRegex(done.stderr, rb"^cinnabar: '" + self.pool.encode() +
                             rb"' cannot be reached any more: ")

    def test_a_file_that_was_cut(self):
        for size in (0, 1, 4096, 8192, 100_000, len(self.sound) // 2, len(self.sound) - 1):
            with self.subTest(size=size):
                with open(self.pool, "wb") as file:
                    file.write(self.sound[:size])
                for words in (["check"], ["dump", "--stream", "s"], ["append", "--stream", "s"]):
                    done = self.run_program(*words, self.pool, stdin=b"x\n")
                    self.assertIn(done.returncode, (IO, CORRUPT), done.stderr)
                    if size > 8192:
                        self.assertEqual(done.returncode, CORRUPT, done.stderr)
                        self.assertIn(str(size).encode(), done.stderr)
                self.assertEqual(os.path.getsize(self.pool), size)


if __name__ == "__main__":
    unittest.main()
