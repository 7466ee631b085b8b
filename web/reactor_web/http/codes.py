"""Why a request is refused: a code for programs, and a page for people. ``docs/problems.md`` is made of this table.

After a change here run ``python -m tests.project.describe_problems``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """One reason."""

    title: str
    status: int
    """Of HTTP."""
    means: str
    """What has happened, and why."""
    client: str
    """What the client should do."""
    operator: str
    """What the operator of the server can set or look at."""
    sentence: str = ""
    """Of a cap: the ``detail`` of its problem documents. ``{most}`` is the cap."""
    challenge: str | None = None
    """The header ``WWW-Authenticate`` (RFC 9110, section 11.6.1; RFC 6750, section 3)."""

    def detail(self, most: int) -> str:
        """The sentence that a client over a cap is told."""
        return self.sentence.format(most=f"{most:,}")

    @property
    def text(self) -> str:
        """The whole page, a paragraph each."""
        return f"{self.means}\n\nThe client: {self.client}\n\nThe operator: {self.operator}"


_BEARER: Final = 'Bearer realm="reactor"'
_BAD_TOKEN: Final = f'{_BEARER}, error="invalid_token"'
_WAIT: Final = "wait as long as `Retry-After` says, then ask again."
_WAIT_STREAM: Final = (
    "close streams that nobody looks at, and wait as long as `Retry-After` says. The clients of this project do "
    "that. An `EventSource`, which cannot see a status, is answered 200 with `retry:` and `stream.closing {reason: "
    "limit}`."
)
_TENANT: Final = "One tenant may take `tenant_share` of the cap of all, so that the others have something left."


_CAPS_OF_STREAMS: Final[Mapping[str, Code]] = {
    "too-many-connects": Code(
        "Too many connects", 429,
        "This address opens streams faster than it may. Some are allowed at once, because all pages of a browser "
        "come back together when its network does.",
        "wait as long as `Retry-After` says, and twice as long after each refusal, with some chance in it.",
        "`connects_per_second` and `connects_burst`. Behind a proxy name it with `--trusted-proxy`, otherwise all "
        "of its clients have one address. IPv6 addresses are counted by their /64.",
        "this address opens streams too fast: {most} at once are allowed",
    ),
    "too-many-streams-of-you": Code(
        "Too many streams of yours", 429, "Whoever has this key or token has as many streams open as they may.",
        _WAIT_STREAM,
        "`streams_per_principal`. A web application that asks for all of its users with one key needs more.",
        "you have {most} open streams already",
    ),
    "too-many-streams-of-address": Code(
        "Too many streams of an address", 429, "As many streams are open from this address as may be.",
        _WAIT_STREAM,
        "`streams_per_address`. Behind a proxy name it with `--trusted-proxy`; many people may share the address of "
        "an office or of a mobile network. IPv6 addresses are counted by their /64.",
        "{most} streams are open from this address already",
    ),
    "too-many-streams-of-run": Code(
        "Too many streams of a run", 503, "As many clients follow this run as may.", _WAIT_STREAM,
        "`streams_per_run`.",
        "{most} streams of this run are open already",
    ),
    "too-many-streams-of-tenant": Code(
        "Too many streams of a tenant", 429, f"This tenant has its share of all streams open. {_TENANT}",
        _WAIT_STREAM, "`streams` and `tenant_share`.",
        "your tenant has {most} open streams already",
    ),
    "too-many-streams": Code(
        "Too many streams", 503,
        "As many streams are open on this server as may be. A WebSocket is one, and so is a request that waits for the "
        "end of a run or for more events (`Prefer: wait`).",
        _WAIT_STREAM,
        "`streams`, if memory and file descriptors allow it: an idle stream costs 3 KB and one descriptor. Or "
        "another process.",
        "{most} streams are open on this server already",
    ),
    "too-many-waiting-of-tenant": Code(
        "Too many waiting streams of a tenant", 429,
        f"This tenant has its share of the streams that wait for a run which has not started. {_TENANT}",
        "start the run first, then follow it.", "`waiting` and `tenant_share`.",
        "{most} streams of your tenant wait for runs that have not started",
    ),
    "too-many-waiting": Code(
        "Too many waiting streams", 503, "As many streams as may be wait for runs that have not started "
        "(`await_run`).",
        "start the run first, then follow it.", "`waiting`.",
        "{most} streams wait for runs that have not started",
    ),
}  # fmt: skip

_CAPS_OF_RUNS: Final[Mapping[str, Code]] = {
    "too-many-starts-of-you": Code(
        "Too many starts of yours", 429, "Whoever has this key or token starts runs faster than they may.", _WAIT,
        "`starts_per_second_per_principal`.",
        "you start runs too fast: {most} at once are allowed",
    ),
    "too-many-starts-of-tenant": Code(
        "Too many starts of a tenant", 429, f"This tenant starts runs faster than it may. {_TENANT}", _WAIT,
        "`starts_per_second` and `tenant_share`.",
        "your tenant starts runs too fast: {most} at once are allowed",
    ),
    "too-many-starts": Code(
        "Too many starts", 503, "Runs are started faster than this server takes them.", _WAIT,
        "`starts_per_second`. A start writes to the log before it is answered, so a fast disk is what helps.",
        "runs are started too fast: this server takes {most} at once",
    ),
    "too-many-open-runs-of-tenant": Code(
        "Too many open runs of a tenant", 429, f"This tenant has its share of all open runs. {_TENANT}",
        "wait for runs to end, or cancel some; close sessions that are over.", "`open_runs` and `tenant_share`.",
        "your tenant has {most} open runs already",
    ),
    "too-many-open-runs": Code(
        "Too many open runs", 503, "As many runs and sessions are open on this server as may be.",
        "wait for runs to end, or cancel some; close sessions that are over.",
        "`open_runs`. Sessions without `idle` stay open until somebody closes them.",
        "{most} runs are open on this server already",
    ),
    "too-many-emits": Code(
        "Too many events", 429, "Whoever has this key or token says events in runs faster than they may.",
        "wait as long as `Retry-After` says. Events that belong together may be sent as one list.",
        "`emits_per_second`.",
        "you say events too fast: {most} at once are allowed",
    ),
}  # fmt: skip

_OTHER_LIMITS: Final[Mapping[str, Code]] = {
    "too-many-tickets": Code(
        "Too many tickets", 503, "There are as many tickets as may be, in all or of one principal.",
        "wait as long as `Retry-After` says. A ticket can be used for all reconnects of its `EventSource`.",
        "unused tickets go when their `ttl` is over: a shorter one helps. The bounds are no settings.",
    ),
    "too-many-schedules": Code(
        "Too many schedules", 429, "There are as many schedules as may be, of one tenant or in all.",
        "remove schedules that are not needed (`DELETE /schedules/{name}`).", "the bound is no setting.",
        "there are {most} schedules already",
    ),
    "too-many-commands": Code(
        "Too many commands", 429, "As many commands of this WebSocket are being carried out as may be.",
        "send the next one when a reply has come.", "nothing: the bound is no setting.",
    ),
    "body-too-large": Code(
        "The body is too large", 413, "The body of this request has more bytes or JSON values than the server reads.",
        "send less: give a large input as a reference, and split lists of events.",
        "`client_max_size` of the application.",
    ),
    "ticket-in-use": Code(
        "The ticket is in use", 429,
        "The stream that this ticket has opened is still open. A server may see later than its client that a "
        "connection is lost.",
        "come back when `Retry-After` says, with `Last-Event-ID`. Ask for a ticket for each stream.",
        "nothing, unless it is often so: then somebody may have copied an URL with a ticket in it.",
        "the stream that this ticket has opened is still open",
    ),
}  # fmt: skip

_OF_THE_LOG: Final[Mapping[str, Code]] = {
    "log-unavailable": Code(
        "The log is unavailable", 503,
        "The event log of this server fails: its disk is full, its file is damaged, or was moved or deleted while the "
        "server ran. Runs that were open are lost in this process; what was published of them is in the log, and they "
        "go on from there as soon as the log answers again.",
        "wait as long as `Retry-After` says, then ask again. A start with an `Idempotency-Key`, or with `PUT`, may be "
        "sent again as it was.",
        "the log lines of the server say which file and what is wrong; `reason` in the answer of `/readyz` is one word "
        "for it where there is one: `moved`, `replaced`, `cut`, `incomplete` (a file beside it is gone) or "
        "`read-only`. Move the file back, or start the server again. Of a damaged file `reactor recover` copies what "
        "can be read.",
    ),
    "unanswered": Code(
        "Unknown whether it was done", 503,
        "Several nodes share the log, and the one that executes this run did not answer within ten seconds: it hangs, "
        "or was killed and nobody has taken the run over yet. Nobody knows whether the command was carried out; it "
        "may still be, when the run goes on.",
        "send the same request again with the same `Idempotency-Key`: it is not carried out a second time. Cancel, "
        "pause and resume need no key, since a second one does nothing.",
        "the log lines of the other nodes say what they do. Runs of a node that is killed are taken over when its "
        "lease is over (`lease` in the URL of the log).",
    ),
}  # fmt: skip

_RENEW: Final = "get a new one and ask again with it."
_KEY: Final = "`reactor keys ls` shows the keys with their ends, `reactor keys add` makes one."
_TOKEN: Final = "the settings of JWTs: issuer, audience, algorithms, key set and leeway; and the clock of this machine."
_WHO_ASKS: Final[Mapping[str, Code]] = {
    "unauthenticated": Code(
        "Unauthenticated", 401, "This request does not say who asks, and nothing here is open to everybody.",
        "send `Authorization: Bearer` with a key or token. An `EventSource`, which cannot, needs a ticket in its "
        "URL.",
        _KEY, challenge=_BEARER,
    ),
    "key-expired": Code(
        "The key has expired", 401, "The time of this key is over.", _RENEW, _KEY, challenge=_BAD_TOKEN
    ),
    "key-revoked": Code(
        "The key was revoked", 401, "Somebody has revoked this key.", _RENEW, _KEY, challenge=_BAD_TOKEN
    ),
    "token-expired": Code(
        "The token has expired", 401, "The time in `exp` of this token is over.", _RENEW, _TOKEN, challenge=_BAD_TOKEN
    ),
    "token-invalid": Code(
        "The token is not valid", 401,
        "This token is not signed by a key that is trusted here, not meant for this server, or lacks a claim.",
        _RENEW, _TOKEN, challenge=_BAD_TOKEN,
    ),
    "token-keys-unavailable": Code(
        "No keys to check the token", 503,
        "The keys of who issues tokens could not be fetched, so nobody can say whether this token is good.",
        "wait as long as `Retry-After` says, then ask again with the same token.",
        "look whether the JWKS URL answers, and what the log says of it.",
    ),
    "ticket-invalid": Code(
        "The ticket is not valid", 401,
        "This ticket opens nothing: it is unknown, was not used in time, is over, is for another stream, or was "
        "used before and this is no reconnect (`Last-Event-ID`).",
        "ask for a new one with `POST /stream-tickets`.",
        "nothing. Tickets are kept by one process, in memory: a restart forgets them.", challenge=_BEARER,
    ),
    "forbidden-scope": Code(
        "The scope is missing", 403, "Whoever has this key or token may not do this kind of thing.",
        "use a key with the scope that `detail` names: `read`, `run`, `control` or `admin`.",
        "the scopes of the key or token.", challenge=f'{_BEARER}, error="insufficient_scope"',
    ),
    "forbidden-run": Code(
        "The run is not yours", 403,
        "The id of this run is not among those that this key or token is for. This is so whether there is such a "
        "run or not.",
        "use another key.", "the patterns in `runs` of the key or token.",
    ),
    "forbidden-workflow": Code(
        "The workflow is not yours", 403, "This workflow is not among those that this key or token is for.",
        "use another key.", "the patterns in `workflows` of the key or token.",
    ),
}  # fmt: skip

_FROM_WHERE: Final[Mapping[str, Code]] = {
    "forbidden-host": Code(
        "The host name is not allowed", 403,
        "The request names a host that is not one of this server. A page whose name was made to point to this "
        "address would send such requests.",
        "use the name of the server.", "`allowed_hosts` (`--allow-host`).",
    ),
    "forbidden-origin": Code(
        "The origin is not allowed", 403, "A page of another site has sent this request.",
        "nothing: ask from a page of an allowed origin, or from a server.", "`cors` (`--cors`).",
    ),
    "not-exposed": Code(
        "Not exposed", 403,
        "This server asks nobody who they are, so it answers this machine only. The request came from another "
        "address, or through a proxy.",
        "ask from the same machine, without a proxy.",
        "keys (`reactor keys add`), JWTs or `authorize=`. With any of them every request needs a credential.",
    ),
}  # fmt: skip

CODES: Final[Mapping[str, Code]] = {
    **_CAPS_OF_STREAMS,
    **_CAPS_OF_RUNS,
    **_OTHER_LIMITS,
    **_OF_THE_LOG,
    **_WHO_ASKS,
    **_FROM_WHERE,
}
"""By code."""
