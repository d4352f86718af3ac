"""copy and salvage on the command line: what is saved, what is said, exit codes, and that neither
leaves half a pool behind."""
import json
import os
import random
import subprocess
import time
import unittest

from program import CORRUPT, GAPS, IO, LOCKED, OK, PROGRAM, REFUSED, USAGE, ProgramTest

LINE = 64


class Salvage(ProgramTest):
    def setUp(self):
        super().setUp()
        self.create()
        self.ok("service", "add", self.pool, "reader", "--stream", "s")
        self.ok("stream", "add", self.pool, "t")
        self.lines = [b"record number %06d, %s\n" % (i, b"y" * (i % 150)) for i in range(2000)]
        self.others = [b"other %d\n" % i for i in range(100)]
        self.append(b"".join(self.lines), "--force", "10", "--emulate", "cache_line")
        self.append(b"".join(self.others), "--force", "10", "--emulate", "cache_line", stream="t")
        self.sound = self.file_bytes()
        self.new = os.path.join(self.folder, "new")

    def dump_new(self, code=OK, stream="s"):
        return self.expect(code, "dump", self.new, "--stream", stream)

    def lose(self, *numbers):
        """Flips a bit in the payload of records; where they lie in the file."""
        places = [self.sound.find(self.lines[number]) for number in numbers]
        for place in places:
            self.patch(place, bytes([self.sound[place] ^ 1]))
        return places

    def names(self):
        return sorted(os.listdir(self.folder))

    def test_copies_hold_the_same_bytes(self):
        for size in ("9M", "16M", "40M"):
            with self.subTest(size=size):
                done = self.expect(OK, "copy", self.pool, self.new, "--size", size)
                self.assertRegex(done.stdout, rb"(?m)^s +2000 +\d+ +0 +\d+ +0$")
                self.assertEqual(os.path.getsize(self.new), int(size[:-1]) << 20)
                self.assertEqual(self.dump_new().stdout, b"".join(self.lines))
                self.assertEqual(self.dump_new(stream="t").stdout, b"".join(self.others))
                self.ok("check", self.new)
                self.assertEqual(self.file_bytes(), self.sound, "the old file stays as it was")
                os.remove(self.new)

    def test_a_file_that_was_cut(self):
        """Its end is lost without a gap that says so; the exit code and a number do."""
        keep = self.sound.find(self.lines[1000]) // LINE * LINE
        with open(self.pool, "r+b") as file:
            file.truncate(keep)
        report = json.loads(self.expect(GAPS, "salvage", self.pool, self.new, "--json").stdout)
        self.assertEqual(report["old_bytes_missing"], len(self.sound) - keep)
        self.assertEqual(self.dump_new().stdout, b"".join(self.lines[:1000]))

    def test_copy_in_json(self):
        report = self.ok_json("copy", self.pool, self.new)
        self.assertEqual(report["pool_bytes"], 16 << 20)
        s, t = report["streams"]
        self.assertEqual((s["name"], s["records"], s["gaps"]), ("s", 2000, []))
        self.assertEqual(s["payload_bytes"], sum(map(len, self.lines)))
        self.assertEqual((t["name"], t["records"]), ("t", 100))
        self.assertEqual(report["notes"], [])
        old, new = self.ok_json("info", self.pool), self.ok_json("info", self.new)
        self.assertEqual(new["services"], old["services"])
        for a, b in zip(old["streams"], new["streams"]):
            self.assertEqual((a["name"], a["writers"], a["begin_lsn"], a["end_lsn"]),
                             (b["name"], b["writers"], b["begin_lsn"], b["end_lsn"]))

    def test_what_copy_refuses_salvage_saves(self):
        lsns = [record["lsn"] for record in self.records()]
        places = self.lose(700, 701, 1500)
        damaged = self.file_bytes()
        done = self.expect(CORRUPT, "copy", self.pool, self.new)
        self.assertIn(f"LSN {lsns[700]}".encode(), done.stderr)
        self.assertIn(b"alvage", done.stderr)
        self.assertEqual(self.names(), ["pool"])

        done = self.expect(GAPS, "salvage", self.pool, self.new, "--json")
        self.assertEqual(self.file_bytes(), damaged)
        s, t = json.loads(done.stdout)["streams"]
        self.assertEqual([(gap["begin_lsn"], gap["end_lsn"]) for gap in s["gaps"]],
                         [(lsns[700], lsns[702]), (lsns[1500], lsns[1501])])
        for gap, place in zip(s["gaps"], (places[0], places[2])):
            self.assertLessEqual(gap["old_offset_bytes"], place)
            self.assertLess(place, gap["old_offset_bytes"] + gap["old_length_bytes"])
        self.assertEqual((s["records"], t["gaps"]), (1997, []))

        done = self.dump_new(GAPS)
        self.assertEqual(done.stdout, b"".join(self.lines[:700] + self.lines[702:1500] +
                                               self.lines[1501:]))
        for lsn in (lsns[700], lsns[1500]):
            self.assertIn(f"LSN {lsn}".encode(), done.stderr)
        self.dump_new(stream="t")

        done = self.expect(GAPS, "check", self.new, "--json")
        found = json.loads(done.stdout)["damage"]
        self.assertEqual({one["verdict"] for one in found}, {"gap"})
        self.assertEqual([one["lsn"] for one in found], [lsns[700], lsns[1500]])
        self.assertIn(b"gap", self.expect(GAPS, "check", self.new).stdout)
        self.ok("append", self.new, "--stream", "s", stdin=b"more\n")
        self.assertTrue(self.dump_new(GAPS).stdout.endswith(self.lines[-1] + b"more\n"))

    def test_gaps_and_damage_together_are_damage(self):
        self.lose(700)
        self.expect(GAPS, "salvage", self.pool, self.new)
        with open(self.new, "r+b") as file:
            place = file.read().find(self.lines[900])
            file.seek(place)
            file.write(b"R")
        done = self.expect(CORRUPT, "check", self.new)
        self.assertIn(b"gap in stream", done.stdout)
        self.assertIn(b"corrupt_sum in stream", done.stdout)
        self.dump_new(CORRUPT)

    def test_the_table_lists_gaps(self):
        self.lose(700)
        done = self.expect(GAPS, "salvage", self.pool, self.new)
        self.assertRegex(done.stdout, rb"(?m)^s +1999 +\d+ +0 +\d+ +1\n  gap in stream 's' "
                                      rb"from LSN \d+ to \d+, bytes \d+ to \d+ of '")
        self.assertIn(b"salvaged", done.stderr)

    def test_notes_are_told(self):
        place = self.sound.find(b"reader\0")
        self.patch(place, b"R")
        done = self.expect(OK, "salvage", self.pool, self.new)
        self.assertIn(b"service-1", done.stderr)
        self.assertEqual(self.ok_json("service", "list", self.new)["services"][0]["name"],
                         "service-1")

    def test_both_superblocks(self):
        for place in (self.sound.find(b"CINNABAR"), self.sound.rfind(b"CINNABAR")):
            self.patch(place + 60, b"\xff")
        done = self.expect(CORRUPT, "salvage", self.pool, self.new)
        self.assertIn(b"superblock", done.stderr)
        self.assertEqual(self.names(), ["pool"])

    def test_bad_input(self):
        taken = os.path.join(self.folder, "taken")
        with open(taken, "wb") as file:
            file.write(b"mine")
        for verb in ("copy", "salvage"):
            self.expect(USAGE, verb, self.pool)
            self.expect(USAGE, verb, self.pool, self.new, "--size", "many")
            done = self.expect(USAGE, verb, self.pool, self.new, "--size", "1K")
            self.assertRegex(done.stderr, rb"a pool of 1 KiB is too small.* \d+ segments")
            self.expect(REFUSED, verb, self.pool, taken)
            self.expect(REFUSED, verb, self.pool, self.pool)
            self.expect(IO, verb, taken, self.new)
            self.expect(IO, verb, self.folder, self.new)
            self.expect(IO, verb, os.path.join(self.folder, "none"), self.new)
            self.expect(IO, verb, self.pool, os.path.join(self.folder, "none", "new"))
            self.assertEqual(self.names(), ["pool", "taken"])
            self.assertEqual(self.file_bytes(), self.sound)

    def test_a_pool_that_is_open(self):
        process = subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        process.stdin.write(b"held\n")
        process.stdin.flush()
        process.stdout.readline()
        for verb in ("copy", "salvage"):
            done = self.expect(LOCKED, verb, self.pool, self.new)
            self.assertIn(str(process.pid).encode(), done.stderr)
        waiting = subprocess.Popen([PROGRAM, "salvage", self.pool, self.new, "--lock-timeout",
                                    "30000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.1)
        process.stdin.close()
        process.wait()
        self.assertEqual(waiting.wait(timeout=30), OK)
        self.assertTrue(self.dump_new().stdout.endswith(b"held\n"))

    def test_killed_at_any_moment_leaves_no_half_pool(self):
        """Under the name stands nothing, or all of it; under the other name what the kill left."""
        self.append(b"".join(self.lines), "--force", "end", "--emulate", "cache_line")
        seed = int(os.environ.get("CINNABAR_SEED", random.randrange(2**32)))
        print(f"CINNABAR_SEED={seed}", flush=True)
        source = random.Random(seed)
        begin = time.monotonic()
        self.ok("salvage", self.pool, self.new)
        whole_s = time.monotonic() - begin
        os.remove(self.new)
        made = 0
        for turn in range(40):
            verb = source.choice(["copy", "salvage"])
            process = subprocess.Popen([PROGRAM, verb, self.pool, self.new],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(source.uniform(0, 1.2 * whole_s))
            process.kill()
            process.wait()
            for name in self.names():
                if name == "new":
                    made += 1
                    self.ok("check", self.new)
                    self.assertEqual(self.dump_new().stdout, b"".join(self.lines * 2))
                elif name != "pool":
                    self.assertTrue(name.startswith("cinnabar-creating."), name)
                if name != "pool":
                    os.remove(os.path.join(self.folder, name))
        self.assertLess(made, 40, "some were killed in time")

    def test_flips_anywhere_never_crash(self):
        seed = int(os.environ.get("CINNABAR_SEED", random.randrange(2**32)))
        print(f"CINNABAR_SEED={seed}", flush=True)
        source = random.Random(seed)
        catalogue = self.sound.find(b"CINNABAR")
        known = set(self.lines)
        for turn in range(40):
            damaged = bytearray(self.sound)
            for _ in range(source.choice([1, 3, 20, 300])):
                # One superblock copy stays.
                offset = source.choice([source.randrange(catalogue),
                                        catalogue + 512 + source.randrange(8192 - 512),
                                        catalogue + 8192 + source.randrange(20480),
                                        catalogue + 28672 + source.randrange(1 << 20)])
                damaged[offset] ^= 1 << source.randrange(8)
            with open(self.pool, "r+b") as file:
                file.write(damaged)
            with self.subTest(turn=turn):
                done = self.run_program("salvage", self.pool, self.new)
                self.assertIn(done.returncode, (OK, GAPS), done.stderr)
                self.assertEqual(self.file_bytes(), bytes(damaged))
                checked = self.run_program("check", self.new)
                self.assertEqual(checked.returncode, done.returncode, checked.stderr)
                for stream in self.ok_json("stream", "list", self.new)["streams"]:
                    out = self.run_program("dump", self.new, "--stream", stream["name"])
                    self.assertIn(out.returncode, (OK, GAPS), out.stderr)
                    if stream["name"] in ("s", "stream-1"):
                        self.assertLessEqual(set(out.stdout.splitlines(keepends=True)), known)
                os.remove(self.new)

    def test_a_file_that_was_cut(self):
        for size in (len(self.sound) // 2, len(self.sound) // 2 - 5000 * LINE - 7):
            with self.subTest(size=size):
                with open(self.pool, "wb") as file:
                    file.write(self.sound[:size])
                self.expect(CORRUPT, "copy", self.pool, self.new)
                done = self.run_program("salvage", self.pool, self.new)
                self.assertIn(done.returncode, (OK, GAPS), done.stderr)
                self.assertIn(str(size).encode(), done.stderr)
                self.assertEqual(os.path.getsize(self.pool), size)
                os.remove(self.new)


if __name__ == "__main__":
    unittest.main()
