"""Writes a file as a C array: embed.py openapi.json site_openapi > site_openapi.c, or a folder of them as a table: embed.py --all files..."""
import hashlib
import sys
from pathlib import Path

TYPES = {".html": "text/html;charset=utf-8", ".css": "text/css;charset=utf-8", ".js": "text/javascript;charset=utf-8", ".svg": "image/svg+xml",
         ".webmanifest": "application/manifest+json"}


def array(name, data, static=""):
    rows = [", ".join(map(str, data[i:i + 24])) for i in range(0, len(data), 24)]
    return f"{static}const unsigned char {name}[] = {{\n    " + ",\n    ".join(rows) + "\n};"


if sys.argv[1] == "--all":
    files = [Path(name) for name in sys.argv[2:]]
    print('#include "adapter/http/site.h"\n')
    for number, file in enumerate(files):
        print(array(f"file{number}", file.read_bytes(), "static "))
    print("\nconst site_file site_files[] = {")
    for number, file in enumerate(files):
        path = "/" if file.name == "index.html" else "/page/" + file.name
        tag = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        print(f'    {{"{path}", "{TYPES[file.suffix]}", "\\"{tag}\\"", file{number}, sizeof file{number}}},')
    print("};\nconst unsigned site_file_count = sizeof site_files / sizeof *site_files;")
else:
    name, content = sys.argv[2], open(sys.argv[1], "rb").read()
    print(f"extern const unsigned char {name}[];\nextern const unsigned {name}_len;\n{array(name, content)}\nconst unsigned {name}_len = {len(content)};")
