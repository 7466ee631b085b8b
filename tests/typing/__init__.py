"""Code as users write it, which the type checkers read and nobody runs.

clean     has no error in the strict mode of pyright and of mypy
wrong     each line with the comment ``# error`` is an error in both, and no other line
"""
