"""The helm command of README, and what docs/canary.md says for when Istio comes later, while requests never stop."""

from tests.cluster.pages import PAGE, README, SERVICE, Reader, commands, follow
from tests.cluster.staging import Namespace, measured, question, wait_until


def weight_of_canary(namespace: Namespace) -> int:
    """As the VirtualService says it."""
    *_, weighted = namespace.get("virtualservice", SERVICE)["spec"]["http"]
    weights = {each["destination"]["subset"]: each.get("weight", 0) for each in weighted["route"]}
    return int(weights.get("canary", 0))


def test_istio_that_comes_after_what_the_readme_installed_fails_no_request(
    page_namespace: Namespace, major: int
) -> None:
    reader = Reader(page_namespace, major)
    (install,) = [each for each in commands(README, "Roll out") if each.startswith("helm ")]
    reader.do(install)
    steps = commands(PAGE, "When Istio comes later")
    page_namespace.wait_for_rollout()
    with page_namespace.traffic(question(SERVICE, requests=None, connections=4, pause_s=0.02)) as traffic:
        follow(reader, steps, page_namespace, traffic)
        assert weight_of_canary(page_namespace) == 10
        wait_until(lambda: traffic.take(200).of(version="2"), "the canary's share")
        everything = traffic.so_far()
    assert everything.failed == 0, (everything.counts, everything.bodies)
    measured.append(f"README: {everything.all} requests, {everything.failed} failed")
