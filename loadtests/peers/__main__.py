"""Measure other servers beside this one: python -m loadtests.peers --help."""

from loadtests.peers.command import main

if __name__ == "__main__":
    main(prog_name="python -m loadtests.peers")
