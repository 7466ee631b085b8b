"""Moved to ``reactor.plans.tools``; ``tool`` and ``Tool`` are imported from ``reactor``."""

from reactor.moved import attributes_from

__getattr__ = attributes_from(__name__, {"Tool": "reactor", "tool": "reactor", "tools": "reactor.plans.tools"})
