"""What is measured: a module each, with a function `run` that returns what it found."""
