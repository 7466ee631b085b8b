"""The event logs: siblings under one law suite (``reactor.testing.log_laws``)."""
