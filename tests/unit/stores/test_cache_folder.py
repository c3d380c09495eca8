"""Where fetched artifacts are kept when nobody says where."""

import subprocess
import sys

ASK = """
import tempfile
tempfile._candidate_tempdir_list = lambda: ["/proc/no-such-folder"]
from model_manager.repository.cache import default_folder
print(default_folder())
"""


def test_a_machine_on_which_nothing_can_be_written_has_one_too() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("/tmp/model-manager-cache-")
