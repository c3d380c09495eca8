"""Measure the server against its ceilings: python -m loadtests.benchmark --help."""

from loadtests.benchmark.command import main

if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark")
