"""Our programs under a real kernel, on persistent memory that a virtual machine emulates: what they
call the medium, and what is left when the power fails.

Usage: dax_test.py TEST. The environment names CINNABAR_PROGRAM, DAX_GUEST (guest.cpp),
CINNABAR_KERNEL_DIR, and DAX_FOLDER for the machines' files. A store of the guest is in the file of
its NVDIMM at once, flushed or not: what is shown is the path through kernel and file system, and
not that no flush is missing."""
import json
import os
import pathlib
import random
import re
import sys
import time
import traceback

import machine
from machine import Failure, Machine, Missing, expect

FOLDER = pathlib.Path(os.environ["DAX_FOLDER"])
KERNEL = os.environ["CINNABAR_KERNEL_DIR"]
PROGRAMS = [os.environ["CINNABAR_PROGRAM"], os.environ["DAX_GUEST"]]
INITRAMFS = FOLDER / "initramfs"
TEMPLATE = FOLDER / "template"

MOUNT = "mount_dax /dev/pmem0 /dax\n"
KILLS = 5
LIFE_S = 0.3        # of appending, at most; the pool has space for some five seconds of it
SWEEP_POINTS = 8
STEPS_MORE = 8      # or fewer, in another run: an instruction that faults is stepped over twice
FORCED_EVERY = 300  # in the page domain


def seed_of_run():
    seed = int(os.environ.get("CINNABAR_SEED", random.randrange(2**32)))
    print(f"CINNABAR_SEED={seed}", flush=True)
    return seed


def new_machine(name):
    return Machine(FOLDER / name, KERNEL, INITRAMFS, TEMPLATE)


def numbers_of(lines, word):
    """The N of each line "word N" or "word N after M"; one that a message of the kernel's fell into
    does not count."""
    matches = (re.fullmatch(word + r" (\d+)( after \d+)?", line) for line in lines)
    return [int(match.group(1)) for match in matches if match]


class Promises:
    """What one log has acknowledged, and whether it keeps it."""

    def __init__(self):
        self.forced = 0  # so many of the first records must be there
        self.said = 0    # so many were appended; one more may have been
        self.lost = 0    # that were not promised

    def check_held(self, lines):
        """What a life found is what was promised, and nothing that was not appended."""
        held = numbers_of(lines, "holds")
        expect(len(held) == 1, "the guest did not say once what its log holds")
        expect(held[0] >= self.forced,
               f"{self.forced} records were promised, and the log holds {held[0]}")
        expect(held[0] <= self.said + 1,
               f"{self.said} records were appended, and the log holds {held[0]}")
        self.lost += max(0, self.said - held[0])
        # What recovery accepts it makes durable.
        self.forced = self.said = held[0]

    def note(self, lines):
        """What that life acknowledged then."""
        forced, lazy = numbers_of(lines, "forced"), numbers_of(lines, "lazy")
        self.forced = max([self.forced, *(number + 1 for number in forced)])
        self.said = max([self.said, *(number + 1 for number in forced + lazy)])


def live_and_kill(a_machine, job, randomly, promises, **options):
    """A life that appends until its power fails at a random moment."""
    with a_machine.boot(job, **options) as boot:
        boot.wait_for(("forced ", "lazy "))
        seconds = randomly.uniform(0, LIFE_S)
        lines = boot.kill_after(seconds)
    promises.check_held(lines)
    begin = promises.said
    promises.note(lines)
    print(f"killed after {seconds:.3f} s: began with {begin} records, said to have appended up to "
          f"{promises.said} and forced up to {promises.forced}", flush=True)


def prepare():
    """The template: file systems on all devices, a pool with a stream on each."""
    machine.build_initramfs(INITRAMFS, KERNEL, PROGRAMS)
    made = Machine(TEMPLATE, KERNEL, INITRAMFS)
    made.run("""
        make_mappable
        for device in pmem0 pmem1 vda; do make_file_system /dev/$device; done
        mount_dax /dev/pmem0 /dax; mount_dax /dev/pmem1 /vpmem; mount_disk
        for folder in dax vpmem disk; do
            cinnabar create /$folder/pool --size 48M --segment-size 64K
            cinnabar stream add /$folder/pool s
            umount /$folder
        done""", virtio=True)


def domains():
    """What the program and the library say of the three media, and of caches that survive."""
    def expect_medium(lines, path, sentence):
        described = [json.loads(line) for line in lines if line.startswith("{")]
        media = {one["pool"]: one["medium"] for one in described}
        expect(path in media, f"no description of {path}")
        expect(not media[path]["emulated"] and media[path]["sentence"] == sentence,
               f"info calls {path} {media[path]}, and it is: {sentence}")
        expect(f"medium {path} {sentence}" in lines, f"the library calls {path} something else")
        expect((f"synchronous {path}" in lines) == (not sentence.startswith("page")),
               f"the page faults of {path} are not as its domain says")

    ask = "cinnabar info /{0}/pool --json; guest check /{0}/pool\n".format
    bench = """
        cinnabar bench force --record-bytes 64 --threads 1 --records-per-force 1 --area 8M \\
            --rounds 1 --slice-ms 1 --directory /dax --disk-directory /dax \\
            --only cinnabar,libpmemlog,pmemobj_tx
        """
    a_machine = new_machine("domains")
    lines = a_machine.run(MOUNT + "mount_dax /dev/pmem1 /vpmem; mount_disk\n" + ask("dax") +
                          ask("vpmem") + ask("disk") + bench + "umount /dax", virtio=True)
    expect_medium(lines, "/dax/pool", "cache_line domain on ext4, clwb")
    expect_medium(lines, "/vpmem/pool", "page domain on ext4, msync")
    expect_medium(lines, "/disk/pool", "page domain on ext4, msync")
    for engine in ("floor", "cinnabar", "libpmemlog", "pmemobj_tx"):
        expect(any(line.split()[:1] == [engine] and line.endswith(" cache_line on ext4")
                   for line in lines), f"the benchmark says something else of {engine}")

    lines = a_machine.run(MOUNT + ask("dax"), persistence="cpu")
    expect_medium(lines, "/dax/pool", "byte domain on ext4, none")


def kills():
    """Power failures at random moments of forced appending, in turns where caches are lost and
    where they are not."""
    randomly = random.Random(seed_of_run())
    a_machine = new_machine("kills")
    promises = Promises()
    for life in range(KILLS):
        live_and_kill(a_machine, MOUNT + "guest append /dax/pool 1", randomly, promises,
                      persistence=("mem-ctrl", "cpu")[life % 2])
    promises.check_held(a_machine.run(MOUNT + "guest check /dax/pool; cinnabar check /dax/pool"))
    expect(promises.lost == 0, "of forced records some were lost")
    expect(promises.said > 10 * KILLS, f"only {promises.said} records in {KILLS} lives")


def sweep():
    """Power failures before chosen instructions of appends that cross from segment to segment, the
    second time into one that a release has just freed, and of that release."""
    randomly = random.Random(seed_of_run())
    a_machine = new_machine("sweep")
    whole = a_machine.run(MOUNT + "guest sweep /dax/sweep0 0; rm /dax/sweep0")
    expect(whole.count("crossed") == 2, "not two segments were crossed")
    # "forced N after STEPS", "released N after STEPS"
    done = [(word, int(number), int(steps)) for word, number, _, steps in
            (line.split() for line in whole if " after " in line)]
    steps = max(steps for _, _, steps in done)
    print(f"{steps} instructions: {done}", flush=True)

    look = ""  # at the pool of the point before
    for point in range(SWEEP_POINTS):
        at = 1 + int(steps * (point + randomly.random()) / SWEEP_POINTS)
        pool = f"/dax/sweep{point}"
        with a_machine.boot(MOUNT + look + f"guest sweep {pool} {at}") as boot:
            lines = boot.wait_crash()
        if look:
            check_swept(promises, first, lines)
        promises = Promises()
        promises.note(lines)
        least, most = (max(number + 1 for word, number, after in done
                           if word == "forced" and after < max(at + slack, 1))
                       for slack in (-STEPS_MORE, STEPS_MORE))
        expect(least <= promises.forced <= most,
               f"{least} to {most} were to be forced: not the same run again")
        first = first_records(done, at)
        print(f"crash before instruction {at}: {promises.forced} records are forced, and the first "
              f"is one of {first}", flush=True)
        look = f"guest check {pool}; cinnabar check {pool}; rm {pool}\n"
    check_swept(promises, first, a_machine.run(MOUNT + look))


def first_records(done, at):
    """With which records the log may begin after a crash at that instruction."""
    release = next(i for i, (word, _, _) in enumerate(done) if word == "released")
    began, (_, number, ended) = done[release - 1][2], done[release]
    if at > ended + STEPS_MORE:
        return {number}
    return {0, number} if at > began - STEPS_MORE else {0}


def check_swept(promises, first, lines):
    promises.check_held(lines)
    begins = (numbers_of(lines, "begins") or [0])[0]
    expect(begins in first, f"the log begins with record {begins}, and not with one of {first}")


def pages():
    """A disk: what was forced is there, and of the rest something is lost."""
    randomly = random.Random(seed_of_run())
    a_machine = new_machine("pages")
    promises = Promises()
    # A life that ends amidst an msync may lose nothing.
    for life in range(10):
        live_and_kill(a_machine, f"mount_disk\nguest append /disk/pool {FORCED_EVERY}", randomly,
                      promises, virtio=True)
        if life > 1 and promises.lost > 0:
            break
    live_and_kill(a_machine, "mount_disk\nguest lie /disk/pool", randomly, promises, virtio=True)
    expect(promises.lost > 0, "nothing was lost: this shows nothing")
    expect_broken(promises, a_machine.run("mount_disk\nguest check /disk/pool", virtio=True))


def expect_broken(promises, lines):
    """The check itself is checked: it must notice here."""
    try:
        promises.check_held(lines)
    except Failure as noticed:
        print(f"noticed, as it should be: {noticed}", flush=True)
    else:
        raise Failure("records that were never durable are there: this shows nothing")


def creation():
    """A pool whose creation has just returned is there; on a disk, a copy of one. So is a file that
    is mapped with MAP_SYNC, and not one that is mapped without it."""
    a_machine = new_machine("creation")

    def crash(job):
        with a_machine.boot(job, virtio=True) as boot:
            return boot.wait_crash()

    crash(MOUNT + "guest store /dax/sync sync; guest create /dax/new")
    lines = crash(MOUNT + """
        cinnabar check /dax/new; cinnabar stream add /dax/new s; guest check /dax/new
        cat /dax/sync
        guest store /dax/plain plain; guest crash""")
    expect("holds 0" in lines, "the new pool does not open")
    expect("durable" in lines, "the file mapped with MAP_SYNC is not there")
    lines = crash(MOUNT + """
        if [ -s /dax/plain ]; then cat /dax/plain; else echo gone; fi
        mount_disk
        seq 1000 | cinnabar append /disk/pool --stream s --force end
        cinnabar copy /disk/pool /disk/new; guest crash""")
    expect("gone" in lines, "the file mapped without MAP_SYNC is there: this shows nothing")
    lines = a_machine.run("""
        mount_disk
        cinnabar check /disk/new
        cinnabar dump /disk/new --stream s | md5sum; seq 1000 | md5sum""", virtio=True)
    sums = [line for line in lines if line.endswith(" -")]
    expect(len(sums) == 2 and sums[0] == sums[1], "the copy does not hold the records")


def private_memory():
    """An NVDIMM that keeps nothing: the check must notice."""
    randomly = random.Random(seed_of_run())
    a_machine = new_machine("private_memory")
    promises = Promises()
    live_and_kill(a_machine, MOUNT + "guest append /dax/pool 1", randomly, promises, kept=False)
    expect_broken(promises, a_machine.run(MOUNT + "guest check /dax/pool"))


TESTS = {test.__name__: test for test in (
    prepare, domains, kills, sweep, pages, creation, private_memory)}


def main():
    name = sys.argv[1]
    began = time.monotonic()
    try:
        machine.require_parts(KERNEL)
        TESTS[name]()
    except Missing as missing:
        print(f"skipped: {missing}")
        return 77
    except Exception:
        machine.print_transcript()
        traceback.print_exc()
        return 1
    boots = sum(line.startswith("--- boot") for line in machine.transcript)
    print(f"{name}: {boots} boots, {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
