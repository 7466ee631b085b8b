"""Settings: flags, the environment and reactor.toml."""
