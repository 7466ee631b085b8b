"""Starts runs at their times. Which times there are says ``definition.schedules``; this room starts their runs, once.

deciding   what becomes of the times that have come: pure
scheduler  ``Scheduler``: the loop of an engine that looks what is due
inputs     the input that is stored for them
keeping    makes, changes and finds the schedules that are stored
methods    the methods of ``Engine`` about schedules
"""
