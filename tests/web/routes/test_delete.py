"""``DELETE /runs/{id}``, and the lists by parent and root."""

from __future__ import annotations

from reactor import Context, Workflow
from tests.helpers.server import Server


async def test_a_run_that_has_ended_is_deleted(server: Server) -> None:
    """204 without a body, then 404 for all that asks for it; no content type is needed."""
    run = await server.start("small", run_id="r")
    await (await server.engine.get(run["run_id"]))
    assert await server.delete("/runs/r") == (204, None)
    for path in ("/runs/r", "/runs/r/events"):
        assert (await server.get(path))[0] == 404
    status, problem = await server.delete("/runs/r")
    assert (status, problem["detail"]) == (404, "there is no run 'r'")
    assert (await server.get("/runs"))[1]["runs"] == []


async def test_an_open_run_is_not_deleted(server: Server) -> None:
    """409 with one sentence; the run goes on."""
    await server.start("gated", run_id="r")
    status, problem = await server.delete("/runs/r")
    assert (status, problem["detail"]) == (409, "run r is open; only a run that has ended is deleted")
    assert (await server.get("/runs/r"))[1]["status"] == "running"


async def test_a_page_of_another_name_deletes_nothing(server: Server) -> None:
    """A host name that is not ours is 403, as with every request that changes something."""
    run = await server.start("small", run_id="r")
    await (await server.engine.get(run["run_id"]))
    assert (await server.delete("/runs/r", Host="evil.example"))[0] == 403
    assert (await server.get("/runs/r"))[0] == 200


async def test_runs_are_listed_by_parent_and_by_root(server: Server) -> None:
    """``parent=`` lists the child runs of a run, ``root=`` its whole tree; each run names both."""
    family = Workflow("family")

    @family.task
    async def ask(ctx: Context) -> None:
        await ctx.run("small", {}, key="child")

    server.engine.register(family)
    await server.start("small", run_id="other")
    await server.start("family", run_id="top")
    await (await server.engine.get("top"))
    (child,) = (await server.get("/runs?parent=top"))[1]["runs"]
    assert (child["parent"], child["root"], child["workflow"]) == ("top", "top", "small")
    listed = (await server.get("/runs?root=top"))[1]["runs"]
    assert [(run["run_id"], run["parent"], run["root"]) for run in listed] == [
        (child["run_id"], "top", "top"),
        ("top", None, "top"),
    ]
