"""What is read from a golden pool, in a form that is small and that people can read."""
import hashlib
import json


def digested(said):
    """The payloads as their length and the beginning of their SHA-256."""
    streams = [{**stream, "records": [_digest(record) for record in stream["records"]]}
               for stream in said["streams"]]
    return {**said, "streams": streams}


def _digest(record):
    payload = bytes.fromhex(record[7])
    return [*record[:7], len(payload), hashlib.sha256(payload).hexdigest()[:16]]


def text_of(value, indent=""):
    """JSON with a line for each thing that has nothing but plain values in it."""
    if not isinstance(value, (dict, list)) or not any(
            isinstance(one, (dict, list)) for one in
            (value.values() if isinstance(value, dict) else value)):
        return json.dumps(value, ensure_ascii=False) + ("\n" if not indent else "")
    deeper = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {text_of(one, deeper)}" for key, one in value.items()]
    else:
        parts = [text_of(one, deeper) for one in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    text = begin + ",".join(f"\n{deeper}{part}" for part in parts) + f"\n{indent}{end}"
    return text + ("\n" if not indent else "")
