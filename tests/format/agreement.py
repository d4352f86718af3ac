"""What the engine and the independent reader say of a pool, in one form that can be compared."""
import json
import mmap
import os
import select
import subprocess

import reader

TIMEOUT_S = 30
# The engine knows more reasons to refuse a file than a reader who looks at the bytes of the log.
SAME_REFUSAL = {reader.CORRUPT, reader.TRUNCATED, reader.UNSUPPORTED}


class Helper:
    """A program that answers every line with a line."""

    def __init__(self, program):
        self.name = os.path.basename(program)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT_S)
        answer = self.process.stdout.readline() if ready else b""
        if not answer:
            self.process.kill()
            raise RuntimeError(f"{self.name} " + ("ended" if ready else "hung") + f" at: {line}")
        return answer.decode().rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def engine_says(teller, path):
    said = json.loads(teller.ask("tell " + path))
    if "error" in said:
        return {"refused": said["error"]["code"], "message": said["error"]["message"]}
    for stream in said["streams"]:
        stream["losses"] = [[one["code"], one["lsn"], one.get("range"), one["message"]]
                            for one in stream["losses"]]
    # As `cinnabar check`: what the open found and what the check found, each once.
    both = said["open_damage"] + said["check_damage"]
    said["damage"] = [json.loads(one) for one in sorted(set(map(json.dumps, both)))]
    return said


def reader_says(data):
    try:
        pool = reader.Pool(data)
    except reader.Refused as refused:
        return None, {"refused": refused.code, "message": str(refused)}
    streams = []
    for stream in pool.streams:
        streams.append({**reader.stream_json(stream), **_delivery(pool, stream)})
    names = {stream.number: stream.name for stream in pool.streams}
    services = [[one.service, one.name, names.get(one.stream, ""), pool.marks[one.service] or 0]
                for one in pool.services]
    return pool, {"streams": streams, "services": services, "damage": _damage(pool.check())}


def _delivery(pool, stream):
    records, losses = [], []
    for one in pool.deliver(stream):
        if isinstance(one, reader.Loss):
            code = "gap" if one.verdict == "gap" else "corrupt"
            where = list(one.range) if one.range else None
            losses.append([code, one.lsn, where, one.verdict])
        else:
            records.append([one.lsn, one.origin, one.forced, one.service, one.kind, one.previous,
                            one.known_durable, one.payload.hex()])
    return {"records": records, "losses": losses}


def _damage(found):
    return sorted(([one.stream or "", one.verdict, one.lsn, one.offset_bytes, one.length_bytes]
                   for one in found), key=json.dumps)


def differences(engine, read):
    """Sentences; none: they agree."""
    if "refused" in engine or "refused" in read:
        return _refusals(engine, read)
    found = []
    if engine["damage"] != read["damage"]:
        found.append(f"damage: engine {_only(engine['damage'], read['damage'])}, "
                     f"reader {_only(read['damage'], engine['damage'])}")
    if engine["services"] != read["services"]:
        found.append(f"services: engine {_only(engine['services'], read['services'])}, "
                     f"reader {_only(read['services'], engine['services'])}")
    if [one["name"] for one in engine["streams"]] != [one["name"] for one in read["streams"]]:
        return found + [f"streams: engine {[one['name'] for one in engine['streams']]}, reader "
                        f"{[one['name'] for one in read['streams']]}"]
    for ours, theirs in zip(engine["streams"], read["streams"]):
        found += [f"stream {ours['name']}, {key}: engine {ours[key]}, reader {value}"
                  for key, value in theirs.items()
                  if key not in ("records", "losses") and ours[key] != value]
        if ours["records"] != theirs["records"]:
            found.append(f"stream {ours['name']}, records: engine {len(ours['records'])} "
                         f"{_only(ours['records'], theirs['records'])[:3]}, reader "
                         f"{len(theirs['records'])} "
                         f"{_only(theirs['records'], ours['records'])[:3]}")
        if not _same_losses(ours["losses"], theirs["losses"]):
            found.append(f"stream {ours['name']}, losses: engine {ours['losses']}, reader "
                         f"{theirs['losses']}")
    return found


def _refusals(engine, read):
    if engine.get("refused") in SAME_REFUSAL and engine.get("refused") == read.get("refused"):
        return []
    return [f"engine {engine.get('refused')} ({engine.get('message')}), reader "
            f"{read.get('refused')} ({read.get('message')})"]


def _same_losses(ours, theirs):
    """The engine's sentence holds the verdict that the reader found."""
    return len(ours) == len(theirs) and all(
        one[:3] == other[:3] and (other[3] == "gap" or other[3] in one[3])
        for one, other in zip(ours, theirs))


def _only(these, those):
    those = [str(one) for one in those]
    return [one for one in these if str(one) not in those]


def file_bytes(path):
    """The file as it stands, without a copy; changes to the file are seen."""
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
