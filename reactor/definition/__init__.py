"""A workflow: its tasks, their options, and the frozen graph that a run is made from. No event loop is known here.

workflow      ``Workflow``, and the decorator ``@flow.task``
task          ``Task``: a function and its options; ``Group``
groups        parts of a workflow, one after the other or side by side
functions     the types of functions that users write
policy        how tasks and runs are supervised: Retry, Limit, Cache, Budget
names         what a name may look like; the id of a mapped child
options       checks of the options of one task
executors     the executors a task can name, and what each asks of a body
address       how another process finds a function
references    references to outputs in the values of a plan: ``$task.path``
binding       what a function takes, where each value comes from, and its type
strangers     values of strangers, checked against types in a time that they cannot make long
node          one task in its graph
resolve       where each parameter of a task gets its value
order         upstreams first; cycles
returns       whether an output has the type that its task is annotated with
schedules     when a schedule starts runs: its rule, and the times that follow
slips         inputs that are probably a misspelt task
inputs        what a run takes as input: validation and JSON Schema
graph         the whole, validated and frozen
mermaid       its drawing
"""
