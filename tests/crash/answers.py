"""Commands to a server that comes and goes. What it has answered is noted, with fsync: it must be in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.crash.oracle import append, records
from tests.crash.server import TENANT

AGAIN_SECONDS = 0.01


class Answer(NamedTuple):
    """What the server has said to a command: it was carried out (2xx), or it was refused."""

    life: int
    tenant: str
    method: str
    path: str
    body: Any
    key: str
    """The Idempotency-Key."""
    tries: int
    """How often it was sent; all but the last had no answer."""
    status: int
    said: Any

    @property
    def run(self) -> str:
        """The run that the path names."""
        return f"{self.tenant}/{self.path.split('/')[2]}"

    @property
    def command(self) -> str:
        """``start`` for ``PUT``, else the last word of the path."""
        return "start" if self.method == "PUT" else self.path.split("/")[3]


class Commands:
    """Sends the commands of one tenant, again where there was no answer."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, tenant: str, file: Path, life: Callable[[], int],
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._http, self._url, self._file, self._life, self._on_answer = http, url, file, life, on_answer
        self.tenant = tenant

    async def send(self, method: str, path: str, body: Any, key: str = "") -> Answer:
        """Returns with the first answer that is neither a lost connection nor 503."""
        headers = {TENANT: self.tenant} | ({"Idempotency-Key": key} if key else {})
        tries = 0
        while True:
            tries += 1
            try:
                async with self._http.request(method, self._url + path, json=body, headers=headers) as response:
                    life = self._life()  # not before: what is sent in one life may be heard in the next
                    said = await response.json(content_type=None)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if response.status == 503:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            self._on_answer()
            answer = Answer(life, self.tenant, method, path, body, key, tries, response.status, said)
            append(self._file, answer)
            return answer

    async def state(self, run_id: str) -> Any:
        """What ``GET`` says of a run."""
        async with self._http.get(f"{self._url}/runs/{run_id}", headers={TENANT: self.tenant}) as response:
            return await response.json()


def answers(path: Path) -> list[Answer]:
    return [Answer(*record) for record in records(path)]
