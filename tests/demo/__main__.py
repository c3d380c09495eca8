"""A model that is right until the world changes, and who notices: python -m tests.demo --help."""

from tests.demo.command import main

if __name__ == "__main__":
    main(prog_name="python -m tests.demo")
