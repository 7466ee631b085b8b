"""``GET /whoami``: what the server takes who asks for."""

from __future__ import annotations

from tests.helpers.server import Server
from tests.web.guard.world import world


async def test_who_asks_where_nobody_need_say_it_may_do_everything(server: Server) -> None:
    """On this machine without a guard: all scopes, no limits."""
    async with server.session.get(f"{server.url}/whoami") as answer:
        assert answer.status == 200
        found = await answer.json()
    assert found["scopes"] == ["admin", "control", "read", "run"]
    assert (found["runs"], found["workflows"], found["expires"]) == (None, None, None)


async def test_everybody_is_told_what_they_may_do_and_see() -> None:
    """The scopes and patterns of their own credential, and of nobody else's."""
    async with world() as here:
        for who, scopes in (("read", ["read"]), ("all", ["admin", "control", "read", "run"])):
            for headers in here.credentials[who]:
                async with here.session.get(f"{here.url}/api/v1/whoami", headers=headers) as answer:
                    found = await answer.json()
                    assert answer.headers["Cache-Control"] == "no-store"
                assert (found["scopes"], found["tenant"]) == (scopes, "acme")
        async with here.session.get(f"{here.url}/api/v1/whoami", headers=here.credentials["other runs"][0]) as answer:
            assert (await answer.json())["runs"] == ["other-*"]
