"""What bench/compare is made of: a namespace, the systems under test, the figures."""
