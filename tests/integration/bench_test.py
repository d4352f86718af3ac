"""`cinnabar bench` as a program: what it says when something is amiss, what it leaves behind."""
import glob
import json
import os
import signal
import subprocess
import time
import unittest

from program import IO, OK, PROGRAM, USAGE, ProgramTest

FORCE = ["bench", "force", "--rounds", "1", "--slice-ms", "2", "--record-bytes", "256",
         "--area", "16M"]


def processes_that_map(folder, name):
    found = []
    for maps in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(maps, encoding="utf-8", errors="replace") as file:
                if any(folder in line and line.endswith(f"/{name}\n") for line in file):
                    found.append(int(maps.split("/")[2]))
        except OSError:
            pass   # it ended meanwhile, or is not ours
    return found


class BenchTest(ProgramTest):
    def setUp(self):
        super().setUp()
        if b"bench" not in self.ok("--help"):
            self.skipTest("built without the benchmark")

    def test_a_word_that_is_no_choice(self):
        done = self.expect(USAGE, "bench", "force", "--segments", "cold")
        self.assertIn(b"--segments: 'cold' is neither 'recycled' nor 'warm'", done.stderr)

    def test_an_engine_that_dies_costs_its_cell_alone(self):
        scratch = os.path.join(self.folder, "scratch")
        os.mkdir(scratch)
        path = os.path.join(self.folder, "results.json")
        process = subprocess.Popen(
            [PROGRAM, "bench", "force", "--rounds", "60", "--slice-ms", "5", "--record-bytes",
             "64,256,1024", "--area", "16M", "--only", "cinnabar", "--directory", scratch,
             "--json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        while not (workers := processes_that_map(scratch, "cinnabar")):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        time.sleep(0.3)   # it opened its file, and is being measured
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        table, talk = process.communicate(timeout=60)
        self.assertEqual(process.returncode, IO, talk)
        self.assertIn(b"cinnabar failed: the worker process ended by Killed", talk)
        self.assertEqual(table.count(b"FAILED: cinnabar, "), 1, table)
        with open(path, "rb") as file:
            rows = json.load(file)["results"]
        self.assertEqual(len(rows), 6)
        failed = [row for row in rows if row["error"] is not None]
        self.assertEqual([row["engine"] for row in failed], ["cinnabar"])
        self.assertEqual(failed[0]["error"]["code"], "io")
        for row in rows:
            self.assertEqual(row["record_ns_mean"] is None, row in failed)
        self.assertEqual(os.listdir(scratch), [])

    def test_results_that_cannot_be_written_are_noticed_before_the_run(self):
        kept = os.path.join(self.folder, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write("precious")
        long_run = ["--rounds", "99999", "--directory", self.folder, "--json"]
        for path in ("/nowhere/results", self.folder, os.path.join(kept, "results"),
                     os.path.join(self.folder, "r" * 300)):
            for bench in ("force", "recovery"):
                with self.subTest(bench=bench, path=path):
                    done = self.expect(IO, "bench", bench, *long_run, path)
                    self.assertIn(b"cannot write the results to '" + path.encode(), done.stderr)
                    self.assertEqual(done.stdout, b"")
        self.assertEqual(os.listdir(self.folder), ["kept"])

    def test_a_run_that_fails_touches_no_file_of_results(self):
        kept = os.path.join(self.folder, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write("precious")
        for path in (kept, os.path.join(self.folder, "new")):
            self.expect(IO, *FORCE, "--directory", "/nowhere", "--json", path)
        with open(kept, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")
        self.assertEqual(os.listdir(self.folder), ["kept"])

    def test_results_replace_those_that_were_there(self):
        path = os.path.join(self.folder, "results")
        with open(path, "w", encoding="utf-8") as file:
            file.write("x" * 100_000)
        self.ok(*FORCE, "--only", "floor", "--json", path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["schema"], 1)
        self.assertEqual(os.listdir(self.folder), ["results"])

    def test_an_engine_that_does_not_exist_is_answered_with_those_that_do(self):
        done = self.expect(USAGE, *FORCE, "--only", "cinnabar,foo")
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn(b"'foo'; there are: floor, cinnabar, ", done.stderr)
        names = done.stderr.rpartition(b"are: ")[2].split(b", ")
        explained = [line.split()[0] for line in self.ok("bench", "force", "--help").splitlines()
                     if line.startswith(b"  ") and not line.startswith((b"  -", b"   "))]
        self.assertEqual([name.strip() for name in names], explained)

    def test_what_begins_is_said_in_plain_lines(self):
        done = self.expect(OK, *FORCE, "--only", "msync", "--directory", self.folder)
        self.assertRegex(done.stderr.decode(), r"^cinnabar: 1 cell of 2 engines, on \w+ at "
                         rf"{self.folder}.*: about \d+ s\n$")

    def test_a_small_memory_gets_small_areas_in_plain_words(self):
        """64 MiB are what a container has in /dev/shm if nobody says otherwise."""
        place = self.small_tmpfs("64M")
        if place is None:
            self.skipTest("cannot mount a tmpfs here")
        bench = ["bench", "force", "--quick", "--rounds", "1", "--record-bytes", "256",
                 "--directory", place, "--disk-directory", self.folder]
        done = self.expect(OK, *bench)
        self.assertRegex(done.stderr, rb"areas of \d MiB in place of 128 MiB")
        self.assertRegex(done.stdout, rb"areas of \d MiB in place of 128 MiB")
        self.assertIn(b"\ncinnabar_shared ", done.stdout)
        done = self.expect(IO, *bench, "--area", "64M")
        self.assertRegex(done.stderr, rb"has 64 MiB, enough for --area \dM")
        self.ok(*bench, "--area", done.stderr.split()[-1].decode())


if __name__ == "__main__":
    unittest.main()
