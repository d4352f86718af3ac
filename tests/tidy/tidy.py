"""The house rules that a machine can read: one pass over every file of the repository.

Usage: tidy.py REPOSITORY. Prints file:line: what is wrong; exit code 1 when anything is.
"""
import ast
import pathlib
import re
import sys

COLUMNS_MAX = 100
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70

CODE = {".cpp", ".hpp", ".h", ".c"}
SKIPPED_FOLDERS = re.compile(r"^(\.git|build|build-.*|__pycache__)$")
HEADERLESS = {"LICENSE", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore"}

# What only some folders may write: (pattern, folders, why). Tests of a room may do as the room.
ONLY_IN = (
    (r"\b_mm\d*_(stream|sfence|clwb|clflush)\w*|\b__builtin_ia32_(?!pause\b|rdtsc)\w*"
     r"|\basm\b", ("engine/medium", "engine/trials", "bench", "tests"),
     "stores, flushes and fences by instruction belong to engine/medium"),
    (r"\b_mm\d*_(?!pause\b)\w+", ("engine/base", "engine/medium", "bench", "tests"),
     "vector code belongs to engine/base (sums) and engine/medium"),
    (r"\bpmem_\w+\s*\(|<libpmem\.h>", ("engine/medium", "engine/crash", "bench", "tests"),
     "libpmem is known to engine/medium and to the interposer alone"),
    (r"\bpmemobj_\w+\s*\(|\bpmem::|<libpmemobj", ("engine/pool", "bench", "tests"),
     "libpmemobj and libpmemobj++ are known to engine/pool alone"),
    (r"\btbb::|<(oneapi/)?tbb/", ("engine/log", "bench", "tests"),
     "oneTBB is known to engine/log alone"),
    (r"\b(msync|fsync|fdatasync)\s*\(", ("engine/medium", "engine/pool", "engine/crash", "bench",
                                         "tests", "tools"),
     "pages are written back by engine/medium and engine/pool; the interposer has its own msync"),
    (r"\b(memset|memmove|bzero)\s*\(", ("engine/base", "engine/format", "engine/medium",
                                        "engine/pool", "engine/sim", "engine/crash",
                                        "engine/trials", "bench", "tests", "tools"),
     "here every store to memory of the pool goes through the Medium"),
    # The log reads the medium; memcpy may fill a named object of its own, and nothing else.
    (r"\bmemcpy\s*\((?!\s*&)", ("engine/base", "engine/format", "engine/medium", "engine/pool",
                                "engine/sim", "engine/crash", "engine/trials", "bench", "tests",
                                "tools"),
     "here memcpy may only fill a named object (&name); stores go through the Medium"),
    (r"\bassert\s*\(|<cassert>|<assert\.h>", (), "CNB_CHECK stays on in release; assert does not"),
    (r"\bstd::(cout|cerr|clog)\b|<iostream>", ("bench", "bindings", "tests", "tools"),
     "the engine does not talk"),
)
# In every file, comments included. Written so that this file does not match itself.
NOWHERE = (
    (r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b", "unfinished business"),
    (r"(?<![\w./~$}])/(wo" r"rk|ro" r"ot|ho" r"me)/", "a path of one machine"),
    (r"https?://[^\s\"')]*(mirr" r"or|pro" r"xy|artif" r"act|reg" r"istry|debian\.org"
     r"|local" r"host|\d+\.\d+\.\d+\.\d+)", "the address of one machine or mirror"),
    (r"\t|[ \t]+$|\r", "a tab or a blank at the end"),
)
CODE_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                        r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def blanked(text):
    """C++ with comments, strings and preprocessor lines blanked; lines stay where they are."""
    text = CODE_TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    return re.sub(r"^[ ]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text,
                  flags=re.MULTILINE)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def code_functions(text):
    """(first line, last line) of each function: a brace that opens behind a parameter list."""
    text = blanked(text)
    not_a_function = re.compile(r"^\s*(template\s*<.*>\s*)?(class|struct|union|enum|namespace|"
                                r"extern)\b", re.DOTALL)
    assigned = re.compile(r"(?<![=<>!+\-*/|&^%])=(?!=)")
    stack, head = [], 0
    for position, letter in enumerate(text):
        if letter == "{":
            words = text[head:position]
            outside_parentheses = re.sub(r"\(.*\)|<.*>", "", words, flags=re.DOTALL)
            inside = any(is_function for is_function, _ in stack)
            is_function = (not inside and "(" in words and not not_a_function.match(words)
                           and not assigned.search(outside_parentheses))
            start = head + len(words) - len(words.lstrip())
            stack.append((is_function, start))
            head = position + 1
        elif letter == "}" and stack:
            is_function, start = stack.pop()
            if is_function:
                yield line_of(text, start), line_of(text, position)
            head = position + 1
        elif letter == ";":
            head = position + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno


def shell_functions(text):
    for match in re.finditer(r"^\w+\(\) \{\n.*?^\}", text, re.MULTILINE | re.DOTALL):
        yield line_of(text, match.start()), line_of(text, match.end())


def kind_of(name, text):
    suffix = pathlib.PurePath(name).suffix
    if suffix in CODE:
        return "code"
    if suffix == ".py" or text.startswith("#!") and "python" in text.split("\n")[0]:
        return "python"
    if text.startswith("#!"):
        return "shell"
    if suffix in (".md", ".txt") and not name.endswith("CMakeLists.txt"):
        return "text"
    return "other"


def opening_missing(name, text, kind):
    """Every file says at its top what it is about; X.cpp may leave that to X.hpp."""
    base = pathlib.PurePath(name)
    if kind == "text" or base.name in HEADERLESS or base.suffix in (".in", ".json"):
        return False
    lines = text.split("\n")
    if base.suffix == ".pml":
        return not lines[0].startswith("// ")
    if kind == "code":
        own = re.match(r'#include [<"](?:[\w./]*/)?' + re.escape(base.stem) + r'\.hpp[>"]', text)
        return not (lines[0].startswith("// ") or (base.suffix == ".cpp" and own))
    if kind == "python":
        return not text.split("\n", 1 if text.startswith("#!") else 0)[-1].startswith('"""')
    first = lines[1] if text.startswith("#!") and len(lines) > 1 else lines[0]
    if base.name == "CMakeLists.txt":
        # A list that only names the files of its folder, or a consumer's whole project.
        return len(lines) > 20 and not first.startswith("# ")
    return not first.startswith("# ")


def check_lengths(text, kind):
    lines = text.split("\n")
    if kind != "text":
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield number, f"{len(line)} columns; {COLUMNS_MAX} at most"
        if len(lines) - 1 > FILE_LINES_MAX:
            yield 1, f"{len(lines) - 1} lines; {FILE_LINES_MAX} at most"
    finder = {"code": code_functions, "python": python_functions, "shell": shell_functions}
    for first, last in finder.get(kind, lambda _: ())(text):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield first, f"a function of {last - first + 1} lines; {FUNCTION_LINES_MAX} at most"


def check_words(name, text, kind):
    for pattern, why in NOWHERE:
        for match in re.finditer(pattern, text, re.MULTILINE):
            if why.startswith("a tab") and (kind == "text" or name == "LICENSE"):
                continue
            yield line_of(text, match.start()), f"{why}: {match.group().strip()}"
    if kind != "code":
        return
    includes = "\n".join(line if re.match(r"\s*#\s*include\b", line) else ""
                         for line in text.split("\n"))
    code = blanked(text)
    for pattern, folders, why in ONLY_IN:
        if any(name.startswith(folder + "/") for folder in folders):
            continue
        for place in (code, includes):
            for match in re.finditer(pattern, place):
                yield line_of(place, match.start()), f"{match.group().strip()}: {why}"


def check_file(name, text):
    """(line, problem) of one file."""
    kind = kind_of(name, text)
    yield from check_lengths(text, kind)
    yield from check_words(name, text, kind)
    if opening_missing(name, text, kind):
        yield 1, "the first lines do not say what the file is about"
    if name.endswith(".hpp") and not re.search(r"^#pragma once$", text, re.MULTILINE):
        yield 1, "no #pragma once"
    if kind == "shell" and not re.search(r"^set -euo pipefail$", text, re.MULTILINE):
        yield 1, "a script without set -euo pipefail"
    if text and not text.endswith("\n"):
        yield line_of(text, len(text)), "no newline at the end"


def check_dead(files):
    """Every .cpp stands in a CMakeLists.txt of its folder or above; every .hpp is included, by a
    source or by an option that a CMakeLists.txt gives the compiler."""
    everything = "\n".join(text for name, text in files.items() if name.endswith((".cpp", ".hpp")))
    included = set(re.findall(r'#\s*include\s*[<"]([^>"]+)[>"]', everything))
    for name, text in files.items():
        if name.endswith("CMakeLists.txt"):
            included.update(re.findall(r"-include \S*/(\w+\.hpp)", text))
    for name in files:
        path = pathlib.PurePath(name)
        if path.suffix == ".cpp":
            lists = (files.get((parent / "CMakeLists.txt").as_posix(), "")
                     for parent in path.parents)
            word = re.compile(r"(?<![\w.-])" + re.escape(path.name) + r"(?![\w.-])")
            if not any(word.search(text) for text in lists):
                yield name, 1, "dead: in no CMakeLists.txt of its folder or above"
        elif path.suffix == ".hpp" and not name.startswith("engine/include/"):
            if not any(("/" + name).endswith("/" + i) for i in included):
                yield name, 1, "dead: included nowhere"


def check(files):
    """(name, line, problem) over a repository given as {name: text}."""
    for name, text in sorted(files.items()):
        for line, problem in check_file(name, text):
            yield name, line, problem
    yield from check_dead(files)


def read(repository):
    files = {}
    for path in sorted(pathlib.Path(repository).rglob("*")):
        name = path.relative_to(repository).as_posix()
        if path.is_dir() or any(SKIPPED_FOLDERS.match(part) for part in name.split("/")):
            continue
        try:
            files[name] = path.read_bytes().decode()
        except UnicodeDecodeError:
            pass  # pools and pictures
    return files


def main():
    files = read(sys.argv[1])
    problems = list(check(files))
    for name, line, problem in problems:
        print(f"{name}:{line}: {problem}")
    print(f"{len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
