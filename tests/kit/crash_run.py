"""What the tests of cinnabar crash run have in common."""
import contextlib
import os
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ["CINNABAR_PROGRAM"]
LEDGER = os.environ["LEDGER"]
REDO = os.environ["REDO"]
OK, USAGE, IO, VIOLATION = 0, 1, 2, 8


class CrashRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cinnabar-crash-run.", dir="/dev/shm")
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "ledger")
        self.images = os.path.join(folder.name, "images")
        os.mkdir(self.images)

    def run_words(self, *words, **how):
        return subprocess.run([PROGRAM, "crash", "run", *words], capture_output=True, text=True,
                              timeout=60, **how)

    def run_crash(self, code, workload, command, *options, images=15, **how):
        done = self.run_words("--file", self.file, "--image-dir", self.images, "--recover-cmd",
                              command, "--images", str(images), "--random", "3", *options, "--",
                              *workload, **how)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.wait_until(lambda: not self.processes(self.images))  # nor is a command left
        return done

    def processes(self, *words):
        """Those of the ledger's that have these among their words."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace")
                if line.startswith(LEDGER) and all(word in line for word in words):
                    found.append(pid)
        return found

    def ledger(self, code, write="right", check="right", *options):
        return self.run_crash(code, [LEDGER, "write", self.file, write],
                              f"{LEDGER} check {check}", *options)

    def folders(self):
        """Those beside the images: of further runs, or somebody's own."""
        return [entry.name for entry in os.scandir(self.images)
                if entry.is_dir() and entry.name not in ("cinnabar-run", "cinnabar-before")]

    def long_check(self):
        """A command that says much of what is wrong: some 24 KiB of JSON."""
        script = os.path.join(self.images, "check.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"touch {self.images}/once\n{LEDGER} check right $1 && exit\n"
                       "printf %04000d 0 | tr 0 '\\001'; exit 1\n")
        return "sh " + script

    def hanging(self):
        """A workload that does not end when it is run again, nor does what it starts."""
        return ["sh", "-c", f"{LEDGER} write {self.file} no_flush_last; test -e "
                f"{self.images}/once && {{ sleep 100 & echo $! > {self.images}/pid; wait; }}; "
                f"touch {self.images}/once"]

    def wait_until(self, true):
        end = time.monotonic() + 50
        while not true():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def assert_sleep_ends(self):
        with open(self.images + "/pid", encoding="utf-8") as file:
            pid = int(file.read())
        self.wait_until(lambda: not os.path.exists(f"/proc/{pid}"))

    def paste(self, text, code):
        """The first replay line that is told, as it is, into a shell; and what is said then."""
        command = text.split("replay: ")[1].split("\n")[0]
        done = subprocess.run(command.replace("cinnabar", PROGRAM, 1), shell=True, cwd=self.images +
                              "/..", capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr
