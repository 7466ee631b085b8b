"""Plans: workflows written as JSON documents, with registered functions as their tasks.

tools       ``@tool`` registers a function that a plan may name
document    the first checks of a document: JSON within bounds, and its shape
load        the checks against the registered tools; the workflow
"""
