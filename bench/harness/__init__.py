"""The benchmark harness of Tokenhouse: Python 3.11 and its standard library."""
