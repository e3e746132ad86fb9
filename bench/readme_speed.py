"""Puts the table of docs/measured/peers_<device>.md into README.md, between its markers:

    python3 bench/readme_speed.py [docs/measured/peers_cpu.md ...]
"""
import os
import pathlib
import re
import sys

BEGIN, END = "<!-- written by bench/readme_speed.py -->\n", "<!-- end of what it wrote -->\n"


def main():
    pages = [pathlib.Path(page) for page in sys.argv[1:]] or sorted(pathlib.Path("docs/measured").glob("peers_*.md"))
    parts = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        table = re.search(r"^\|.*?(?=\n\n|\Z)", text, re.M | re.S).group(0).rstrip()
        paragraphs = text.split("\n\n")
        parts.append(f"{paragraphs[1].strip()} {paragraphs[2].strip()} ([whole page]({page.as_posix()}))\n\n{table}\n")
    readme = pathlib.Path("README.md")
    before = readme.read_text(encoding="utf-8")
    if before.count(BEGIN) != 1 or before.count(END) != 1:
        sys.exit(f"readme_speed.py: README.md lacks the lines {BEGIN.strip()} and {END.strip()}; restore them")
    head, rest = before.split(BEGIN)
    partial = readme.with_suffix(".md.partial")
    partial.write_text(head + BEGIN + "\n" + "\n".join(parts) + "\n" + END + rest.split(END)[1], encoding="utf-8")
    os.replace(partial, readme)


if __name__ == "__main__":
    main()
