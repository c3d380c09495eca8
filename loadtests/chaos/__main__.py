"""python -m loadtests.chaos"""

from loadtests.chaos.command import main

main(prog_name="python -m loadtests.chaos")
