# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""extract.py README PROGRAM.c SNIPPETS.h: the C of README.md, for compiling.

The block with a main becomes PROGRAM.c, all others SNIPPETS.h.
"""
import re
import sys


def blocks(text, language):
    return re.findall(r'^```' + language + r'\n(.*?)^```$', text, re.M | re.S)


def main():
    readme, program, snippets = sys.argv[1:]
    with open(readme, encoding='utf-8') as f:
        c = blocks(f.read(), 'c')
    whole = [b for b in c if 'int main(' in b]
    rest = [b for b in c if 'int main(' not in b]
    assert len(whole) == 1 and len(rest) >= 8, 'README.md lost its examples'
    with open(program, 'w', encoding='utf-8') as f:
        f.write(whole[0])
    with open(snippets, 'w', encoding='utf-8') as f:
        f.write('\n'.join(rest))


if __name__ == '__main__':
    main()
