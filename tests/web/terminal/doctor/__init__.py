"""``reactor doctor``: troubles that are really there, and the installation without any."""
