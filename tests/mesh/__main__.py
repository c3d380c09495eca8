"""Walk a canary from 0 to 100 percent and back, and measure its share: python -m tests.mesh --help."""

from tests.mesh.split import main

if __name__ == "__main__":
    main(prog_name="python -m tests.mesh")
