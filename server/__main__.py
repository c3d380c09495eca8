"""`python -m server`: the command without an installed script."""

from server.cli import main

if __name__ == "__main__":
    main()
