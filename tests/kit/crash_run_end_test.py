"""cinnabar crash run: workloads, and the command itself, that end otherwise than they should."""
import json
import os
import re
import signal
import subprocess
import time
import unittest

from crash_run import CrashRun, IO, LEDGER, OK, PROGRAM, REDO, USAGE, VIOLATION


class End(CrashRun):
    def assert_told_once(self, text):
        """Each of the two violations of a count before its entry."""
        self.assertEqual(text.count("violation (wrong): not written: entry 1\n"), 2)
        self.assertEqual(len(set(re.findall("  replay: .*\n", text))), 2)
        self.assertEqual(text.count("  replay: "), 2)

    def test_a_folder_that_is_full(self):
        """In the place of a disk: no file may be larger than 16 KiB, as the ledger is."""
        limit = "{ trap '' XFSZ; ulimit -f 32; }"
        write = f"{LEDGER} write {self.file} count_first"
        check = self.long_check()
        whole = "report.json' was not written whole: is the folder full?"
        done = self.run_crash(IO, ["sh", "-c", f"{limit}; {write}"], check, images=2)
        self.assertIn(f"'{self.images}/cinnabar-run/{whole}", done.stderr)
        self.assert_told_once(done.stderr)
        os.remove(self.file)
        os.remove(self.images + "/once")
        again = f"test -e {self.images}/once && {limit}; {write}"
        done = self.run_crash(VIOLATION, ["sh", "-c", again], check, images=2)
        self.assertRegex(done.stdout, "  tried: .* does not run again: '" + self.images +
                         r"/cinnabar-again\.\w+/cinnabar-run/" + whole.replace("?", r"\?"))
        self.assertEqual(self.folders(), [])

    def test_a_workload_that_does_not_end_again(self):
        done = self.run_crash(VIOLATION, self.hanging(), f"{LEDGER} check right")
        self.assertRegex(done.stdout,
                         r"  tried: .* does not run again: the workload did not end within \d+ s, "
                         r"recoveries not counted\n")
        self.assert_sleep_ends()

    def interrupted(self, by, workload, command, *options):
        """The signal comes once somebody has written his number into "pid"; and what was said.
        Nothing that it has started is left, and no file or folder of a moment."""
        pid = self.images + "/pid"
        with subprocess.Popen([PROGRAM, "crash", "run", "--file", self.file, "--image-dir",
                               self.images, "--recover-cmd", command, *options, "--", *workload],
                              stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(by, signal.SIG_DFL)) as running:
            self.wait_until(lambda: os.path.exists(pid) and os.path.getsize(pid) > 0)
            running.send_signal(by)
            running.send_signal(by)  # by who does not want to wait
            said = running.communicate(timeout=60)
            self.assertEqual(running.returncode, -by)
        with open(pid, encoding="utf-8") as file:
            for number in file.read().split():
                self.assertFalse(os.path.exists(f"/proc/{number}"), "it has ended before")
        os.remove(pid)
        self.assertEqual(self.folders(), [])
        for name in "held_back", "so_far.json.next":
            self.assertFalse(os.path.exists(f"{self.images}/cinnabar-run/{name}"))
        return said

    def test_interrupted(self):
        """In each phase; and what was found by then is told."""
        told = "this command was told to end "
        sleeps = f"{{ setsid sleep 100 & echo $! > {self.images}/pid; wait; }}"
        for by in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT:
            out, _ = self.interrupted(by, ["sh", "-c", f"{LEDGER} write {self.file} count_first; "
                                           + sleeps], f"{LEDGER} check right")
            self.assertIn("violation (wrong): not written: entry 1\n", out)
            self.assertIn(f" violations, and {told}({signal.strsignal(by)})", out)
            os.remove(self.file)
        # A recovery command is running, of an image or of what is to be held back.
        once = f"test ! -e {self.images}/once || {sleeps}; touch {self.images}/once;"
        self.interrupted(signal.SIGTERM, [LEDGER, "write", self.file, "right"],
                         once + f"{LEDGER} check right")
        os.remove(self.file)
        once = f"test ! -e {self.images}/cinnabar-run/held_back || {sleeps}; "
        self.interrupted(signal.SIGTERM, [LEDGER, "write", self.file, "no_flush_last"],
                         once + f"{LEDGER} check right")
        os.remove(self.file)

    def test_a_further_run_that_is_interrupted(self):
        """The workload ends too, and the first one's report is told."""
        out, _ = self.interrupted(signal.SIGTERM, self.hanging(), f"{LEDGER} check right")
        self.assertIn(" does not run again: this command was told to end (Terminated)\n", out)

    def test_what_a_command_that_was_killed_has_left(self):
        """Goes at the next start; other folders do not."""
        for name in "cinnabar-again.123456", "again.backup":
            os.mkdir(f"{self.images}/{name}")
        self.ledger(OK)
        self.assertEqual(self.folders(), ["again.backup"])

    def test_a_replay_that_is_interrupted(self):
        done = self.ledger(VIOLATION, "count_first", "right", "--json", "-", "--fixes", "0")
        line = json.loads(done.stdout)["violations"][0]["replay"]
        hangs = f"echo $$ > {self.images}/pid; exec sleep 100"
        said = self.interrupted(signal.SIGINT, ["sh", "-c", hangs], "true", "--replay", line,
                                "--image", self.images + "/again")[1]
        self.assertIn("this command was told to end (Interrupt), and there is no report", said)

    def test_who_ignores_signals(self):
        """As under nohup: so does the command."""
        write = f"kill -HUP $PPID; {LEDGER} write {self.file} right"
        self.run_crash(OK, ["sh", "-c", write], f"{LEDGER} check right", restore_signals=False,
                       preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))

    def test_who_ignores_the_ends_of_children(self):
        done = self.run_crash(OK, [LEDGER, "write", self.file, "right"], f"{LEDGER} check right",
                              "--workload-seconds", "20", restore_signals=False,
                              preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertIn("no violation\n", done.stdout)

    def test_a_workload_whose_main_thread_ends(self):
        """While another one maps the file: who recovers images lives on."""
        done = self.ledger(OK, "in_thread")
        self.assertIn("13 crash points, ", done.stdout)
        self.assertIn("no violation\n", done.stdout)

    def test_a_workload_that_stores_in_another_thread(self):
        """The one thread that stores may be any, whoever maps the file and ends the program."""
        for how in ("joined", "mapped_here"):
            os.path.exists(self.file) and os.remove(self.file)
            done = self.ledger(OK, how)
            self.assertIn("13 crash points, ", done.stdout, how)
            self.assertIn("no violation\n", done.stdout)
        for how in ("two_threads", "one_after_other"):
            os.remove(self.file)
            done = self.ledger(USAGE, how)
            self.assertIn("misuse): a second thread stored, flushed or fenced: it is not seen\n",
                          done.stdout)
            self.assertEqual(done.stdout.count("violation ("), 1, "nothing is held against it")

    def test_a_file_that_is_replaced_at_the_end(self):
        """What was stored to it by then is known, and tried."""
        done = self.ledger(VIOLATION, "no_flush_last+rotated", "right", "--fixes", "0")
        self.assertIn("violation (wrong): acknowledged and lost: entry 6\n", done.stdout)
        self.assertIn("violation (misuse): another file has taken the place of", done.stdout)

    def test_a_command_that_is_killed(self):
        """It can end nothing any more, and the workload ends all the same."""
        words = ["crash", "run", "--file", self.file, "--image-dir", self.images, "--recover-cmd",
                 f"{LEDGER} check right", "--", LEDGER, "write", self.file, "hangs"]
        with subprocess.Popen([PROGRAM, *words], stderr=subprocess.PIPE) as run:
            self.wait_until(lambda: os.path.exists(self.images + "/cinnabar-run/so_far.json"))
            time.sleep(0.5)
            self.assertTrue(self.processes(self.file))
            run.kill()
        self.wait_until(lambda: not self.processes(self.file))

    @unittest.skipIf(os.getuid() != 0, "only root becomes another user")
    def test_a_workload_that_becomes_another_user(self):
        """Who recovers images for it is not his to kill, and ends all the same."""
        self.ledger(OK)
        os.remove(self.file)
        folders = os.path.dirname(self.file), self.images, self.images + "/cinnabar-run"
        for folder in folders:
            os.chmod(folder, 0o777)
        done = self.ledger(OK, "other_user", "right", "--workload-seconds", "60")
        self.assertIn("13 crash points, ", done.stdout)
        self.assertTrue(done.stdout.endswith("no violation\n"), done.stdout)

    def test_a_child_that_stores_too(self):
        self.assertIn("remark: a process that the workload forked, after it had mapped the file,",
                      self.ledger(OK, "child_stores").stdout)

    def test_a_program_that_becomes_another(self):
        """Who was to recover images for the first one ends; the shell has the second one's."""
        script = os.path.join(self.images, "children.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write("sleep 2.5\nfor child in $(cat /proc/$$/task/$$/children); do\n"
                       f"grep ^State /proc/$child/status; done > {self.images}/states\n")
        self.run_crash(IO, ["sh", "-c", f"exec env X=1 sh {script}"], "true")
        with open(self.images + "/states", encoding="utf-8") as file:
            alive = [state for state in file if "zombie" not in state]
        self.assertEqual(len(alive), 1, alive)

    def test_a_workload_that_signals_its_group(self):
        """Which is not ours."""
        done = self.run_crash(OK, ["setsid", LEDGER, "write", self.file, "signals_group"],
                              f"{LEDGER} check right")
        self.assertIn("no violation\n", done.stdout)

    def test_a_workload_that_closes_what_is_not_its_own(self):
        """And opens files in that place: nothing else is written to them, and all is looked at."""
        looked_at = set()
        write = [LEDGER, "write", self.file, "takes_numbers"]
        subprocess.run(write, check=True, capture_output=True)
        with open(self.file, "rb") as file:
            right = file.read()
        os.remove(self.file)
        for how in "right", "takes_numbers", "takes_later":
            done = self.run_crash(OK, [*write[:3], how], f"{LEDGER} check right")
            self.assertIn("no violation\n", done.stdout)
            with open(self.file, "rb") as file:
                self.assertTrue(right == file.read(), how)
            looked_at.add(re.search(".* images", done.stdout).group())
            os.remove(self.file)
        self.assertEqual(len(looked_at), 1, looked_at)
        done = self.run_crash(VIOLATION, [*write[:3], "count_first+takes_later"],
                              f"{LEDGER} check right")
        self.assertIn("  tried: with a flush and a fence", done.stdout)

    def test_a_workload_whose_first_process_ends_before(self):
        """The shell's, or one that becomes a daemon as a child of itself."""
        write = f"{LEDGER} write {self.file} count_first"
        check = f"{LEDGER} check right"
        for workload in (["sh", "-c", f"{write} &"], ["sh", "-c", f"(sleep 0.5; {write}) &"],
                         ["sh", "-c", f"setsid sh -c '{write} &' &"], (write + "+daemon").split()):
            done = self.run_crash(VIOLATION, workload, check, "--json", self.images + "/j")
            self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
            with open(self.images + "/j", encoding="utf-8") as file:
                report = json.load(file)
            self.assertEqual((report["crash_points"], report["workload_end"]), (7, ""))
            with open(self.images + "/cinnabar-run/acknowledged", encoding="utf-8") as file:
                self.assertEqual(len(file.readlines()), 6)
            self.assertIn("  tried: ", done.stdout, "and it has ended when it runs again")
            os.remove(self.file)
        done = self.run_crash(VIOLATION, ["sh", "-c", f"{write}+dies &"], check)
        self.assertIn("what maps the file died, or left by _exit", done.stdout)
        os.remove(self.file)
        done = self.run_crash(VIOLATION, ["sh", "-c", f"{write}+hangs &"], check,
                              "--workload-seconds", "1")
        self.assertIn(" violations, and what the workload has started did not end within 1 s",
                      done.stdout)
        os.remove(self.file)
        # A helper that it leaves behind: that is waited for, and said after a while.
        waits = "cinnabar: the workload's first process has ended; waits for what it has started\n"
        self.assertNotIn(waits, done.stderr)
        done = self.run_crash(OK, ["sh", "-c", f"{LEDGER} write {self.file} right; sleep 7 &"],
                              check)
        self.assertEqual(done.stderr, waits)

    def test_misuse_alone(self):
        """Is no verdict on the recovery: what is wrong is how the run is made."""
        folder = os.path.join(os.path.dirname(self.file), "pool")
        os.mkdir(folder)
        self.file = folder + "/ledger"
        with open(self.file, "wb") as file:
            file.truncate(16384)
        words = ["--file", folder, "--image-dir", self.images, "--recover-cmd",
                 f"{LEDGER} check right"]
        write = ["--", LEDGER, "write", self.file, "count_first"]
        done = self.run_words(*words, "--json", "-", *write)
        self.assertEqual(done.returncode, USAGE, done.stdout + done.stderr)
        self.assertEqual([one["kind"] for one in json.loads(done.stdout)["violations"]], ["misuse"])
        self.assertIn("no verdict on the recovery: the workload does what is not seen, or not "
                      "modelled\n", done.stderr)
        # Beside a violation it is one.
        os.remove(self.file)
        done = self.ledger(VIOLATION, "count_first+grows")
        self.assertIn("violation (misuse): the file's size has changed", done.stdout)
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)

    def test_what_the_system_refuses(self):
        """Is neither a violation nor misuse."""
        with open(self.file, "wb") as file:
            file.truncate(16384)
        write = f"{{ trap '' XFSZ; ulimit -f 16; }}; {LEDGER} write {self.file} count_first"
        done = self.run_crash(IO, ["sh", "-c", write], "true")
        self.assertEqual(done.stderr, "cinnabar: no memory for images: File too large\n")

    def test_workloads_that_end_badly(self):
        behind = "; what it has stored since its last crash point was not tried"
        for how, said in (("dies", "the workload died: Killed" + behind),
                          ("aborts", "the workload died: Aborted" + behind),
                          ("leaves", "what maps the file died, or left by _exit" + behind),
                          ("exits_3", "the workload ended with exit code 3")):
            done = self.ledger(IO, how)
            self.assertTrue(done.stdout.endswith(f"\nno violation, but {said}\n"), done.stdout)
            self.assertEqual(done.stderr, f"cinnabar: {said}\n")
            os.remove(self.file)
        self.ledger(OK, "forks")
        done = self.run_crash(IO, ["sh", "-c", "kill -9 $$"], "true")
        self.assertIn("the workload died: Killed, and there is no report", done.stderr)
        done = self.ledger(IO, "elsewhere")
        self.assertIn("called no function of libpmem, nor msync, with an address in", done.stderr)
        done = self.run_crash(IO, ["/no/such/program"], "true")
        self.assertIn("'/no/such/program' cannot be run: No such file or directory\n", done.stderr)
        done = self.run_crash(IO, [f"{LEDGER} write {self.file} right"], "true")
        self.assertIn("; give its words one by one: -- PROGRAM WORD ...\n", done.stderr)

    def test_what_was_found_before_the_workload_died(self):
        """Is told as ever, in text, JSON and pages; also where a shell goes on behind it."""
        for how, end in (("dies", "died: Killed"), ("aborts", "died: Aborted"), ("leaves", "")):
            words = LEDGER, "write", self.file, "count_first+" + how
            for workload in words, ("sh", "-c", " ".join(words) + "; true"):
                done = self.run_crash(VIOLATION, workload, f"{LEDGER} check right", "--json",
                                      self.images + "/j", "--page", self.images)
                self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
                self.assertIn("no fix is tried: the workload did not come to its end", done.stderr)
                with open(self.images + "/j", encoding="utf-8") as file:
                    report = json.load(file)
                self.assertIn(end if workload is words else "what maps the file died",
                              report["workload_end"])
                self.assertEqual(report["crash_points"], 6)
                for violation in report["violations"]:
                    self.assertTrue(os.path.exists(violation["image"]))
                    with open(violation["page"], encoding="utf-8") as file:
                        self.assertIn(violation["replay"], file.read())
                os.remove(self.file)

    def test_a_workload_that_hangs(self):
        """What was found is told; and all that it has started ends with it."""
        end = "the workload did not end within 1 s, recoveries not counted (--workload-seconds); " \
              "what it has stored since its last crash point was not tried"
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "count_first+hangs"],
                              f"{LEDGER} check right", "--workload-seconds", "1")
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
        self.assertIn(f" violations, and {end}", done.stdout)
        os.remove(self.file)
        hangs = f"setsid {LEDGER} write {self.file} hangs & echo $! > {self.images}/pid; wait"
        done = self.run_crash(IO, ["sh", "-c", hangs], f"{LEDGER} check right",
                              "--workload-seconds", "1")
        self.assertTrue(done.stdout.endswith(f"\nno violation, but {end}\n"), done.stdout)
        self.assert_sleep_ends()
        done = self.run_crash(IO, ["sleep", "100"], "true", "--workload-seconds", "1")
        self.assertIn("(--workload-seconds), and there is no report", done.stderr)

    def test_a_workload_that_dies_amidst_a_recovery(self):
        """Whoever started it hangs, and has not waited for it."""
        write = f"{LEDGER} write {self.file} right & echo $! > {self.images}/pid; exec sleep 100"
        done = self.run_crash(IO, ["sh", "-c", write], f"kill -9 $(cat {self.images}/pid)",
                              "--workload-seconds", "1")
        self.assertRegex(done.stdout, "^1 crash point, 0 images of 4 possible; not tried: 4\nno "
                         "violation, but the workload did not end within 1 s.*; of its last crash "
                         "point not all was tried\n$")
        # What the recovery has left behind ends with it, and nothing waits for that.
        os.remove(self.file)
        write = f"echo $$ > {self.images}/pid; exec {LEDGER} write {self.file} right"
        done = self.run_crash(IO, ["sh", "-c", write],
                              f"sleep 100 & kill -9 $(cat {self.images}/pid)")
        self.assertIn("the workload died: Killed", done.stdout)

    def test_a_workload_that_hangs_or_dies_in_a_full_folder(self):
        """What was found is told at once then; and the time ends it all the same."""
        for how in "hangs", "dies":
            write = (f"{{ trap '' XFSZ; ulimit -f 32; }}; exec {LEDGER} write {self.file} "
                     f"count_first+{how}")
            seconds = "2" if how == "hangs" else "600"
            done = self.run_crash(IO, ["sh", "-c", write], self.long_check(), "--fixes", "0",
                                  "--workload-seconds", seconds, images=2)
            self.assert_told_once(done.stderr)
            self.assertIn("did not end within" if how == "hangs" else "died: Killed", done.stdout)
            self.assertIn("; what was found later could not be written into the folder, which is "
                          "full: the violations alone are told, on the standard error", done.stdout)
            os.remove(self.file)
        # Where there was room for the first one.
        write = write.replace("32", "64")
        done = self.run_crash(VIOLATION, ["sh", "-c", write], self.long_check(), images=2)
        self.assertEqual(done.stdout.count("violation (wrong): not written: entry 1\n"), 1)
        self.assert_told_once(done.stdout + done.stderr)

    def test_who_was_there_before_is_not_killed(self):
        words = [PROGRAM, "crash", "run", "--file", self.file, "--image-dir", self.images,
                 "--recover-cmd", "true", "--workload-seconds", "1", "--", "sleep", "100"]
        done = subprocess.run(["sh", "-c", 'sleep 60 >&- 2>&- & echo $!; exec "$@"', "sh", *words],
                              capture_output=True, text=True, timeout=60)
        self.assertIn("did not end within 1 s", done.stderr)
        os.kill(int(done.stdout), signal.SIGTERM)  # an error where there is none

    def test_recoveries_take_no_time_of_the_workload(self):
        begun = time.monotonic()
        self.run_crash(OK, [LEDGER, "write", self.file, "right"],
                       f"sleep 0.1; {LEDGER} check right", "--workload-seconds", "1", images=2)
        self.assertGreater(time.monotonic() - begun, 2)

    def test_interrupted_inside_of_a_recovery(self):
        hangs = f"case $1 in *inside*) setsid sleep 100 & echo $! > {self.images}/pid; wait;; esac"
        self.interrupted(signal.SIGTERM, [REDO, "write", self.file, "right"],
                         f"f() {{ {hangs}; {REDO} check right $1; }}; f")

    def test_a_second_program_behind_one_that_died(self):
        """Is not looked at, and does not hide what the first one did."""
        write = f"{LEDGER} write {self.file}"
        both = f"{write} count_first+dies; {write} right"
        done = self.run_crash(VIOLATION, ["sh", "-c", both], f"{LEDGER} check right")
        self.assertIn("not written: entry", done.stdout)
        os.remove(self.file)
        # Nor the one that began before it, and maps the file behind it.
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "child_first"],
                              f"{LEDGER} check right")
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
        self.assertNotIn("acknowledged and lost", done.stdout)
        os.remove(self.file)
        both = f"{write} dies; {write} count_first"
        done = self.run_crash(USAGE, ["sh", "-c", both], f"{LEDGER} check right")
        self.assertIn("two programs of the workload map", done.stderr)


if __name__ == "__main__":
    unittest.main()
