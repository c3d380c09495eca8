"""The helm commands of docs/canary.md, run word by word while requests never stop."""

from tests.cluster.pages import PAGE, SERVICE, Reader, commands, follow
from tests.cluster.staging import Namespace, measured, question


def test_a_canary_step_by_step_fails_no_request(page_namespace: Namespace, major: int) -> None:
    reader = Reader(page_namespace, major)
    (install,) = commands(PAGE, "A canary, step by step")
    reader.do(install)
    page_namespace.wait_for_rollout()
    with page_namespace.traffic(question(SERVICE, requests=None, connections=4, pause_s=0.02)) as traffic:
        way = commands(PAGE, "Add a track at weight 0", "Give it a share", "Promote")
        follow(reader, way, page_namespace, traffic)
        assert page_namespace.pods("canary") == []
        assert traffic.take(100).of(version="2") >= 100  # stable has the new version
        follow(reader, commands(PAGE, "Add a track at weight 0")[:1], page_namespace, traffic)
        page_namespace.wait_for_rollout("canary")
        follow(reader, commands(PAGE, "Give it a share")[:1], page_namespace, traffic)
        follow(reader, commands(PAGE, "Roll back", "Name a track, whatever its weight"), page_namespace, traffic)
        follow(reader, commands(PAGE, "Copy traffic to it first"), page_namespace, traffic)
        everything = traffic.so_far()
    assert everything.failed == 0, (everything.counts, everything.bodies)
    assert [each.status for each in reader.answers] == [200] * 2
    assert reader.answers[0].of(version="2") == 1  # the header named the canary, which had no share
    measured.append(f"docs/canary.md: {everything.all} requests, {everything.failed} failed")
