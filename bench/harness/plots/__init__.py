"""The plots, drawn inside a virtual environment with matplotlib."""
