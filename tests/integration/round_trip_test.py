"""What append took, dump gives back byte by byte."""
import os
import random
import subprocess
import unittest

from program import IO, OK, PROGRAM, REFUSED, TIMEOUT_S, USAGE, ProgramTest, length_prefixed


class RoundTrip(ProgramTest):
    def test_lines(self):
        for name, data in {"nothing": b"", "one": b"a\n", "no newline at the end": b"a\nbc",
                           "empty lines": b"\n\n\na\n\n", "zero bytes": b"\0\n\0\0x\0\n\0",
                           "all bytes": bytes(range(256)) * 9, "carriage returns": b"a\r\nb\r\n",
                           "longer than a read": b"".join(b"%d" % i * 300 + b"\n"
                                                          for i in range(1000))}.items():
            with self.subTest(name):
                if os.path.exists(self.pool):
                    os.remove(self.pool)
                self.create()
                self.append(data)
                self.assertEqual(self.dump(), data)
                self.assertEqual(len(self.records()), len(data.splitlines(keepends=True))
                                 if name not in ("all bytes", "carriage returns")
                                 else data.count(b"\n") + (not data.endswith(b"\n")))

    def test_length_prefixed(self):
        seed = int(os.environ.get("CINNABAR_SEED", random.randrange(2**32)))
        print(f"CINNABAR_SEED={seed}", flush=True)
        source = random.Random(seed)
        records = [source.randbytes(source.choice([1, 2, 31, 32, 33, 64, 500, 9000]))
                   for _ in range(300)]
        data = length_prefixed(records)
        self.create()
        self.append(data, "--length-prefixed")
        self.assertEqual(self.dump("--length-prefixed"), data)
        self.assertEqual(self.dump(), b"".join(records))

    def test_forces_and_files(self):
        self.create()
        path = os.path.join(self.folder, "input")
        data = b"".join(b"line %d\n" % i for i in range(25))
        with open(path, "wb") as file:
            file.write(data)
        for force in ("every", "7", "100", "end"):
            for emulate in ([], ["--emulate", "cache_line"], ["--emulate", "byte"]):
                self.append(b"", path, "--force", force, *emulate)
        self.assertEqual(self.dump(), data * 12)
        durability = [record["durability"] for record in self.records()]
        self.assertEqual(set(durability[:75]), {"forced"})
        self.assertEqual(durability[75:100].count("forced"), 3)
        self.assertEqual(set(durability[-75:]), {"lazy"})

    def test_from(self):
        self.create()
        self.append(b"a\nb\nc\n")
        lsns = [record["lsn"] for record in self.records()]
        self.assertEqual(self.dump("--from", lsns[1]), b"b\nc\n")
        self.expect(USAGE, "dump", self.pool, "--stream", "s", "--from", lsns[1] + 1)
        self.expect(IO, "dump", self.pool, "--stream", "s", "--from", lsns[2] + (1 << 20))

    def test_acknowledges_one_by_one(self):
        """An acknowledgement leaves at once, and what it names is in the log."""
        self.create()
        with subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            lsns = []
            for i in range(20):
                process.stdin.write(b"record %d\n" % i)
                process.stdin.flush()
                lsns.append(int(process.stdout.readline()))
            process.kill()
        self.assertEqual([record["lsn"] for record in self.records()], lsns)
        self.assertEqual(self.dump(), b"".join(b"record %d\n" % i for i in range(20)))

    def test_acknowledges_a_group_at_its_force(self):
        self.create()
        with subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack", "--force",
                               "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(b"1\n2\n3\n4\n")
            process.stdin.flush()
            lsns = [int(process.stdout.readline()) for _ in range(3)]
            rest, _ = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, OK)
        lsns += [int(line) for line in rest.splitlines()]
        self.assertEqual([record["lsn"] for record in self.records()], lsns)

    def test_full_then_released_and_used_again(self):
        self.create()
        self.ok("service", "add", self.pool, "holder", "--stream", "s")
        line = b"x" * 8000 + b"\n"
        done = self.expect(REFUSED, "append", self.pool, "--stream", "s", "--force", "end",
                           stdin=line * 3000)
        self.assertIn(b"'holder' holds everything from LSN", done.stderr)
        self.assertRegex(done.stderr, rb"appended \d+ records")
        kept = self.records()
        self.assertEqual(self.dump(), line * len(kept))
        self.assertIn(f"appended {len(kept)} records".encode(), done.stderr)
        self.expect(REFUSED, "append", self.pool, "--stream", "s", stdin=line * 20)

        held = self.records()
        mark = held[len(held) // 2]["lsn"]
        freed = self.ok_json("release", self.pool, "--service", "holder", "--to", mark)
        self.assertGreater(freed["segments_free"], 0)
        self.append(b"again\n", "--service", "holder")
        self.assertEqual(self.dump(), line * (len(held) - len(held) // 2) + b"again\n")
        self.assertEqual(self.ok_json("service", "list", self.pool)["services"][0]
                         ["low_water_lsn"], mark)
        below = held[len(held) // 2 - 1]["lsn"]
        done = self.expect(IO, "dump", self.pool, "--stream", "s", "--from", below)
        self.assertIn(b"low-water mark", done.stderr)
        self.expect(USAGE, "release", self.pool, "--service", "holder", "--to", below)
        self.ok("check", self.pool)


if __name__ == "__main__":
    unittest.main()
