"""Define a workflow: its tasks, their options, and the frozen graph that a run is made from. Pure; no event loop.

workflow, task, groups      what a user writes
policy                      how tasks and runs are supervised: Retry, Limit, Cache, Budget
names, options, address     checks of one task: its name, its options, whether a process can import its function
references                  references to outputs in the values of a plan: ``$task.path``
binding                     what a function takes, where each value comes from, and its type
node, resolve               one task in its graph, and how its parameters are resolved
order                       upstreams first; cycles
inputs                      what a run takes as input: validation and JSON Schema
graph, mermaid              the whole, validated and frozen; its drawing
"""
