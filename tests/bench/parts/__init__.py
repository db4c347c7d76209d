"""The parts of the bench: each has run(bench), which measures, prints its tables and judges its goals."""
