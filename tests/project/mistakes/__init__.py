"""What a newcomer writes wrong, and what he is told: the rows of ``docs/mistakes.md``.

kinds       how the rows of a section are run: as Python, as a body, as a request, as a command
section     a section of the page, and a row as one line of it
defining    workflows and tasks
running     starting a run, inside of a body, following a run
around      engines, limits and budgets, plans
serving     applications, requests, commands
describe    writes the page: ``python -m tests.project.mistakes.describe``
"""
