"""Every #include of the engine names a room or a library that the table of rooms allows, and no
public header names a library that its users need not have.

Usage: includes.py ENGINE ROOM=BELOW,...=EXTERNAL,... ...
"""
import pathlib
import re
import sys

# Headers of external libraries, by the CMake target that the table must give a room.
LIBRARY_OF = (
    (re.compile(r"libpmem\.h$"), "PkgConfig::PMEM"),
    (re.compile(r"libpmemobj(\.h$|/|\+\+/)"), "PkgConfig::PMEMOBJ"),
    (re.compile(r"(tbb|oneapi)/"), "TBB::tbb"),
    (re.compile(r"(grpc|grpcpp|google)/"), "gRPC::grpc++"),
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
HIDDEN = re.compile(r"\w*(libpmem|pmemobj|pmem_|pmem::|tbb|grpc)\w*", re.IGNORECASE)
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def without_comments(text):
    """Comments and strings blanked, #include lines kept, line numbers unchanged."""
    def blank(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if match.group().startswith('"') and text[start:].lstrip().startswith("#"):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())
    return COMMENT_OR_STRING.sub(blank, text)


def check_room(engine, room, below, external):
    for path in sorted((engine / room).rglob("*.[ch]pp")):
        text = without_comments(path.read_text())
        for match in INCLUDE.finditer(text):
            quoted, name = match.group(1) == '"', match.group(2)
            top = name.split("/")[0]
            problem = None
            if quoted and ("/" not in name or top not in (room, *below, "cinnabar")):
                problem = f'"{name}" is not of this room, a room below, or public'
            for pattern, target in LIBRARY_OF:
                if pattern.match(name) and target not in external:
                    problem = f"<{name}> needs {target}, which the table does not give to {room}"
            if problem:
                yield f"{path}:{line_of(text, match.start())}: {problem}"


def check_public(engine):
    for path in sorted((engine / "include").rglob("*")):
        if path.is_dir():
            continue
        text = without_comments(path.read_text())
        for match in HIDDEN.finditer(text):
            yield f"{path}:{line_of(text, match.start())}: a public header names {match.group()}"
        for match in INCLUDE.finditer(text):
            if match.group(1) == '"' and not match.group(2).startswith("cinnabar/"):
                yield f"{path}:{line_of(text, match.start())}: includes {match.group(2)}"


def main():
    engine = pathlib.Path(sys.argv[1])
    rooms = [word.split("=") for word in sys.argv[2:]]
    problems = list(check_public(engine))
    for room, below, external in rooms:
        problems += check_room(engine, room, below.split(","), external.split(","))
    named = {room for room, _, _ in rooms} | {"include", "doc"}
    for path in sorted(engine.iterdir()):
        if path.is_dir() and path.name not in named and any(path.rglob("*.[ch]pp")):
            problems.append(f"{path}: a room that the table does not name")
    print(*problems, sep="\n")
    print(f"{len(problems)} violations of the table of rooms")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
