"""The parts of bench/compare: a namespace, the systems under test, the figures."""
