"""cinnabar crash run: recovery commands that end badly, and power failures inside of them."""
import json
import os
import subprocess
import unittest

from crash_run import CrashRun, LEDGER, OK, REDO, USAGE, VIOLATION


class Recovery(CrashRun):
    def test_recovery_that_hangs_or_dies(self):
        done = self.ledger(VIOLATION, "right", "hangs", "--milliseconds", "2000",
                           "--violations", "1")
        self.assertIn("violation (hung): recovery did not end within 2000 ms", done.stdout)
        self.assertIn("stopped", done.stdout)
        done = self.ledger(VIOLATION, "right", "crashes")
        self.assertIn("the recovery command ended by signal 6 (Aborted), with 1 GiB of memory "
                      "(--memory): Aborted\n", done.stdout)
        done = self.ledger(VIOLATION, "right", "takes_memory", "--memory", "64M")
        self.assertIn("the recovery command ended by signal 6 (Aborted), with 64 MiB of memory "
                      "(--memory): terminate called after throwing an instance of 'std::bad_alloc'",
                      done.stdout)
        self.ledger(OK, "right", "takes_memory")
        self.assertIn("exit 9", self.ledger(VIOLATION, "right", "exits_9").stdout)
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "right"], "exit 255; true")
        self.assertNotIn("signal", done.stdout)
        self.assertIn("said nothing", self.ledger(VIOLATION, "right", "silent").stdout)

    def test_recovery_that_leaves_something_behind(self):
        """It has ended, though its output is open still; what it said counts."""
        command = f"sleep 50 & echo $! > {self.images}/pid; {LEDGER} check right"
        self.run_crash(OK, [LEDGER, "write", self.file, "right"], command, images=2)
        self.assert_sleep_ends()
        os.remove(self.file)
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "count_first"], command,
                              images=2)
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
        # More than a pipe holds, of which the first words count.
        os.remove(self.file)
        much = "seq 100000; false #"
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "right"], much, images=2)
        self.assertIn("violation (wrong): 1\n2\n3\n", done.stdout)

    def test_refusing_is_right_until_something_is_acknowledged(self):
        done = self.ledger(VIOLATION, "right", "refuses", "--json", os.path.join(self.images, "j"))
        with open(os.path.join(self.images, "j"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertIn("refused the image", report["violations"][0]["what"])
        self.assertGreater(report["violations"][0]["crash_point"], 5)
        self.assertIn("a crash can leave", done.stderr)

    def test_recovery_that_signals_its_group(self):
        check = f"f() {{ trap 'kill 0' EXIT; {LEDGER} check right $1; }}; f"
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "right"], check)
        self.assertIn("the recovery command ended by signal 15 (Terminated), with 1 GiB of memory",
                      done.stdout)
        self.assertNotIn("recovery died", done.stdout)

    def test_recovery_command_that_is_not_there(self):
        for command in "no-such-command", self.images:
            done = self.run_crash(USAGE, [LEDGER, "write", self.file, "right"], command)
            self.assertIn(f"--recover-cmd '{command}': the recovery command cannot be run: ",
                          done.stderr)
            self.assertEqual(done.stdout, "", "nothing was judged")
            os.remove(self.file)
        # Of images alone that fail, with calls to blame: nothing is tried even so.
        self.assertNotIn("runs the workload again", self.run_crash(
            USAGE, [LEDGER, "write", self.file, "no_flush_last"],
            f"f() {{ {LEDGER} check right $1 || exit 127; }}; f").stderr)

    def redo(self, code, command, *options, **how):
        done = self.run_crash(code, [REDO, "write", self.file, "right"], command, *options, **how)
        self.assertEqual(self.folders(), [])
        return done

    def test_power_fails_inside_of_recovery(self):
        """A right one is crashed, too; a mark that goes before what it is of shows only there."""
        report = json.loads(self.redo(OK, f"{REDO} check right", "--json", "-").stdout)
        self.assertGreater(report["recoveries_crashed"], 3)
        self.assertGreater(report["recovery_crash_points"], 2 * report["recoveries_crashed"])
        self.assertGreater(report["recovery_images"], report["recovery_crash_points"])
        self.assertEqual((report["remarks"], report["crash_points"]), ([], 16))
        os.remove(self.file)
        self.redo(OK, f"{REDO} check mark_first", "--recovery-crashes", "0")
        os.remove(self.file)
        done = self.redo(VIOLATION, f"{REDO} check mark_first", "--page", self.images, "--json",
                         self.images + "/j")
        self.assertIn("violation (wrong): counted 1 and 0, and 0 are acknowledged\n", done.stdout)
        self.assertRegex(done.stdout, r"\n  crash at: pmem_persist by redo\S+, then inside of the "
                                      r"recovery: pmem_persist by redo\S+, \d images "
                                      r"at \d crash points\n")
        self.assertRegex(done.stdout, r"\n  order: what is stored before pmem_persist by \S+ "
                         r"\(offset 192\) must be durable before what is stored before "
                         r"pmem_persist by \S+ \(offset 64\), which is called first\n")
        with open(self.images + "/j", encoding="utf-8") as file:
            violations = json.load(file)["violations"]
        for number, violation in enumerate(violations, 1):
            self.assertGreater(violation["recovery_crash_point"], 0)
            kept = f"{self.images}/violation-{number}"
            self.assertEqual((violation["image"], violation["page"]),
                             (kept + ".image", kept + ".html"))
            judged = subprocess.run([REDO, "check", "mark_first", kept + ".image"], input="",
                                    capture_output=True, text=True, check=False)
            self.assertEqual(judged.returncode, 1, "the image that was kept fails again")
        os.remove(self.file)  # and the images have been recovered by now
        self.redo(VIOLATION, f"{REDO} check mark_first")
        with open(self.images + "/violation-1.image", "rb") as file:
            kept = file.read()
        self.paste(done.stdout, OK)
        with open(self.images + "/../violation-1.image", "rb") as file:
            self.assertEqual(file.read(), kept)
        wrong = done.stdout.replace(" then build=", " then build=1", 1)
        self.assertIn("is no replay line", self.paste(wrong, USAGE))
        os.remove(self.file)
        done = self.redo(VIOLATION, f"{REDO} check from_zero")
        self.assertIn("violation (wrong): counted 0 and 1, and 1 are acknowledged\n", done.stdout)
        self.assertIn(", then inside of the recovery: ", done.stdout)

    def test_power_fails_inside_of_the_recovery_of_another_program(self):
        """That is another build than the workload's."""
        with open(REDO, "rb") as file:
            program = bytearray(file.read())
        note = program.index(b"\x03\0\0\0GNU\0")
        program[note + 8] ^= 1
        other = self.images + "/other"
        with open(other, "wb") as file:
            file.write(program)
        os.chmod(other, 0o700)
        done = self.redo(VIOLATION, f"{other} check mark_first")
        self.paste(done.stdout, OK)
        program[note + 9] ^= 1
        os.remove(other)
        with open(other, "wb") as file:
            file.write(program)
        os.chmod(other, 0o700)
        self.assertIn("is of another build of the program", self.paste(done.stdout, USAGE))

    def test_what_is_not_seen_of_a_recovery(self):
        """Is no violation, and remarked upon."""
        def remarks(command):
            done = self.redo(OK, command, "--json", "-")
            os.remove(self.file)
            rules = {one["rule"] for one in json.loads(done.stdout)["remarks"]}
            self.assertEqual(len(rules), 1, rules)
            return rules.pop()
        no_further = "power fails in no further part of recovery: "
        self.assertEqual(remarks(f"{REDO} check plainly"),
                         "power fails nowhere inside of recovery: it stores to its image, and "
                         "calls nothing that makes that durable")
        self.assertEqual(remarks(f"{REDO} check leaves"),
                         no_further + "the recovery command left by _exit, or died")
        twice = f"f() {{ {REDO} check stores $1 </dev/null; {REDO} check stores $1; }}; f"
        self.assertEqual(remarks(twice), no_further + "of the recovery command two programs store "
                         "to the image, and only one is looked at")

    def test_programs_that_begin_while_a_recovery_is_crashed(self):
        """Take nothing of it away."""
        others = f"while test ! -e {self.images}/end; do date >&2; done & " \
                 f"{REDO} write {self.file} right; touch {self.images}/end"
        report = json.loads(self.run_crash(OK, ["sh", "-c", others], f"{REDO} check right",
                                           "--json", "-").stdout)
        self.assertEqual((report["remarks"], report["recoveries_crashed"]), ([], 6))


if __name__ == "__main__":
    unittest.main()
