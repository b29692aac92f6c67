"""Writes a file as a C array: embed.py page.html site_page > site_page.c"""
import sys

data = open(sys.argv[1], "rb").read()
name = sys.argv[2]
rows = [", ".join(map(str, data[i:i + 24])) for i in range(0, len(data), 24)]
print(f"extern const unsigned char {name}[];\nextern const unsigned {name}_len;")
print(f"const unsigned char {name}[] = {{\n    " + ",\n    ".join(rows) + f"\n}};\nconst unsigned {name}_len = {len(data)};")
