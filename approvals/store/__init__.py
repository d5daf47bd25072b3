"""State, decisions and timers in Redis: the only package that speaks to it."""
