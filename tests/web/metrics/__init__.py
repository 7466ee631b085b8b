"""``/metrics``, its names, its alerts and its dashboard."""
