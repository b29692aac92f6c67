"""The snippets of README.md and docs/: fenced blocks, each with the line that says how it is tested.

    <!-- test: skip; why -->               it is not run
    <!-- test: with bridged -->            sh: each line against a running bridged; what stands behind '# ' is what it prints
    <!-- test: until "text" -->            a program that goes on: run until it prints that, then Ctrl-C
    <!-- test: prints "text" -->           a program that prints that and ends
    <!-- test: asyncio -->                 lines of Python for inside a coroutine
No such line: Python runs to its end, C compiles (and runs, when it has a main), JSON is a config that is checked.
"""
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ("python", "c", "json", "sh")


@dataclass
class Snippet:
    file: str
    line: int
    language: str
    how: str
    text: str

    def __str__(self):
        return f"{self.file}:{self.line}"


def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(*languages):
    found = []
    for document in documents():
        if not document.exists():
            continue
        lines = document.read_text().splitlines()
        block, how = None, ""
        for number, line in enumerate(lines, 1):
            if block is not None:
                if line.startswith("```"):
                    if block.language in languages:
                        found.append(block)
                    block, how = None, ""
                else:
                    block.text += line + "\n"
            elif line.startswith("```"):
                block = Snippet(str(document.relative_to(ROOT)), number, line[3:].strip(), how, "")
            elif match := re.match(r"<!-- test: (.*) -->$", line):
                how = match[1]
            elif line.strip():
                how = ""
    return found
