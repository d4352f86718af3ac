"""spin over wake_up.pml: whole, and with each thing broken that the handshake consists of."""
import os
import re
import subprocess
import tempfile
import unittest

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wake_up.pml")
SPIN = os.environ["SPIN"]
COMPILER = os.environ["COMPILER"]

FORMS = ("ONE", "LOCKED", "MANY")
# What is broken, and in which forms it is there to be broken.
BROKEN = {
    "NO_MEMBARRIER": ("ONE",),          # the writer's store may come after its look at waiters
    "PLAIN_PUBLISH": ("LOCKED", "MANY"),
    "PLAIN_SLOT": ("MANY",),
    "NO_STEP": ("MANY",),               # whoever sets a slot does not look at the frontier again
    "LOOK_EARLY": FORMS,                # for waiters, before publishing
    "REGISTER_LATE": FORMS,             # as a waiter, after looking at what is published
    "EPOCH_LATE": FORMS,                # the word slept on is read after that as well
    "NO_EPOCH": FORMS,                  # a wake changes no word
}


def errors(*definitions):
    """How many errors spin finds, and what it says of the first."""
    with tempfile.TemporaryDirectory() as folder:
        def run(*words):
            return subprocess.run(words, cwd=folder, check=True, timeout=60,
                                  stdout=subprocess.PIPE).stdout.decode()
        run(SPIN, *(f"-D{word}" for word in definitions), "-a", MODEL)
        run(COMPILER, "-x", "c", "-w", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c")
        told = run(os.path.join(folder, "pan"), "-m100000")
    if "max search depth too small" in told:
        raise AssertionError("not every state was searched:\n" + told)
    return int(re.search(r"errors: (\d+)", told).group(1)), told


class WakeUp(unittest.TestCase):
    def test_nobody_sleeps_for_ever(self):
        for form in FORMS:
            with self.subTest(form=form):
                found, told = errors(form)
                self.assertEqual(found, 0, told)
                states = int(re.search(r"(\d+) states, stored", told).group(1))
                print(f"{form}: {states} states, no error")

    def test_every_part_is_needed(self):
        for what, forms in BROKEN.items():
            for form in forms:
                with self.subTest(broken=what, form=form):
                    self.assertEqual(errors(form, what)[0], 1)


if __name__ == "__main__":
    unittest.main()
