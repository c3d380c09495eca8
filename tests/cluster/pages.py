"""A reader of README and of docs/canary.md, who runs their commands word by word while requests never stop."""

import json
import re
import shlex
from itertools import pairwise

from tests.cluster.staging import ROW, Answers, Namespace, Traffic, question
from tools.processes import ROOT

SERVICE = "models-model-manager"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "canary.md").read_text(encoding="utf-8")


def commands(page: str, *headings: str) -> list[str]:
    """The shell blocks below some headings, in order."""
    found: list[str] = []
    for heading in headings:
        (section,) = re.findall(
            rf"^#+ (?:\d\. )?{re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE
        )
        found += re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return found


class Reader:
    """Somebody who does what a page says, in a shell and in a pod of the mesh."""

    def __init__(self, namespace: Namespace, major: int) -> None:
        self._namespace = namespace
        self._major = major
        self.answers: list[Answers] = []
        """To the page's own requests, in order."""

    def do(self, block: str) -> None:
        """Run one block."""
        words = shlex.split(block.replace("\\\n", " "))
        if words[0] == "curl":
            self.answers += self._namespace.ask(self._as_question(words))
        elif words[0] in ("helm", "kubectl"):
            self._namespace.run("bash", "-ec", block, helm=self._major)
        else:  # Prometheus is asked: other tests do
            assert words[0] == "model-manager", block

    @staticmethod
    def _as_question(words: list[str]) -> dict[str, object]:
        given = {flag: [value for name, value in pairwise(words) if name == flag] for flag in ("-H", "-d")}
        host, _, path = next(word for word in words if "/v1/" in word).partition("/")
        headers = dict(each.split(": ", 1) for each in given["-H"])
        assert given["-d"] == [ROW]
        return question(host, f"/{path}", headers=headers)


def follow(reader: Reader, blocks: list[str], namespace: Namespace, traffic: Traffic) -> None:
    """Do what a page says, and let requests pass after each step."""
    for block in blocks:
        if "canary.weight" in block and "canary.weight=0" not in block:
            namespace.wait_for_rollout("canary")  # as the page says: a track gets traffic once it is ready
        reader.do(block)
        after = traffic.take(100)
        assert after.failed == 0, (block, json.dumps([str(each) for each in after.bodies.items()]))
