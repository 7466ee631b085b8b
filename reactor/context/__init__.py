"""Speak: what a body says and asks, from where it runs to its run.

context, attempt, calls            the body's side: its ``Context``
line                               carries it to the loop, from a thread or a process too
voice, sampling, mailbox, forms    the run's side: one voice an attempt, values sent to it and their schemas
"""
