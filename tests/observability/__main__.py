"""Watch two servers under traffic, with Prometheus beside them: python -m tests.observability --help."""

from tests.observability.command import main

if __name__ == "__main__":
    main(prog_name="python -m tests.observability")
