"""Moved to ``reactor.plans.load``; ``load_plan`` is imported from ``reactor``."""

from reactor.moved import attributes_from

__getattr__ = attributes_from(
    __name__, {"load_plan": "reactor", "parse_plan": "reactor.plans.document", "Tools": "reactor.plans.load"}
)
