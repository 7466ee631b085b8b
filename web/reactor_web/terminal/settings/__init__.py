"""Settings of the command: a flag, else the environment, else ``reactor.toml``, else the default.

table    which settings there are: their names, kinds and bounds
file     reads and checks ``reactor.toml``
shown    what a command would use, and where each value comes from
group    gives each command its settings: names in the environment, ``--config``, ``--show-settings``
"""
