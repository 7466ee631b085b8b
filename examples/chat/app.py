"""A chat with an agent, in a page without a build step: tokens, tool calls, approval, stop. See README.md beside this.

    python examples/chat/app.py            then open http://localhost:8080

Each turn of the conversation is one run of the workflow ``chat``, whose input is the conversation so far. A crash of
the server costs at most the turn that was under way: that one begins anew when the server is back.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, Field

from reactor import Context, Engine, Workflow
from reactor_web import create_app

PAGE = Path(__file__).parent
ROUNDS = 8
"""How often the model may be asked in one turn. A model that still wants tools then is told no."""

MOST_CHARS = 20_000
"""Of one message. What a tool has given beyond that, the model does not see."""

# --- the model --------------------------------------------------------------------------------------------------


class Message(BaseModel):
    """One message of the conversation. ``tool``: the result of a call, as text."""

    role: Literal["user", "assistant", "tool"]
    content: str = Field(max_length=MOST_CHARS)


@dataclass
class Call:
    """The model wants this tool to be called."""

    tool: str
    arguments: dict[str, Any]


@dataclass
class Usage:
    """What one answer of the model has taken."""

    tokens: int
    cost: Decimal


class Model(Protocol):
    """A language model: the one place to change for a real one."""

    name: str

    def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str | Call | Usage]:
        """Streams pieces of text, calls of tools, and at the end what it has used."""
        ...


class Scripted:
    """A model that always says the same: a clerk who looks up orders and pays money back."""

    name = "scripted-1"
    price = Decimal("0.000002")
    """Dollars for a token."""

    def __init__(self, seconds: float = 0.03) -> None:
        self.seconds = seconds
        """Between two tokens."""

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str | Call | Usage]:
        text, call = self._say(messages)
        tokens = re.findall(r"\s*\S+", text)
        for token in tokens:
            await asyncio.sleep(self.seconds)
            yield token
        if call is not None:
            yield call
        used = sum(len(message.content) // 4 + 1 for message in messages) + len(tokens)
        yield Usage(used, used * self.price)

    def _say(self, messages: Sequence[Message]) -> tuple[str, Call | None]:
        wish = next(message.content for message in reversed(messages) if message.role == "user").lower()
        number = re.search(r"\d{3,6}", wish)
        if messages[-1].role == "tool":
            return self._after_a_tool(messages[-1].content, "refund" in wish or "money back" in wish)
        if number is not None:
            return "Let me look that up.", Call("find_order", {"order": int(number[0])})
        return (STORY if "story" in wish else HELP), None

    def _after_a_tool(self, result: str, wants_money: bool) -> tuple[str, Call | None]:
        found = re.match(r"order (\d+): (.+), (\w+), (\d+\.\d\d) EUR$", result)
        if found is None:
            return result, None  # of a refund
        order, what, status, price = found.groups()
        if wants_money:
            return f"I found it: {what} for {price} EUR.", Call("refund", {"order": int(order), "amount": price})
        return f"Order {order} ({what}, {price} EUR) is {status}. Is there anything else that I can do for you?", None


HELP = """Hello! I am a clerk who works by a script. I can

• look up an order: “Where is order 1042?”
• pay money back, once you approve it: “Refund order 1042”
• tell you a long story, which you may stop: “Tell me a story”"""

STORY = " ".join(
    f"{number}. Once upon a time, event {number} went down the wire; and although the wire was cut in the middle of "
    "the night, it arrived, once and in its place."
    for number in range(1, 25)
)  # fmt: skip

# --- its tools --------------------------------------------------------------------------------------------------

THINGS = ("a lamp", "two chairs", "a very small piano", "seven books")


async def find_order(order: int) -> str:
    """What the shop knows of an order."""
    await asyncio.sleep(0.4)
    status = ("packed", "shipped", "delivered")[order % 3]
    return f"order {order}: {THINGS[order % 4]}, {status}, {19 + order % 80}.90 EUR"


async def refund(order: int, amount: str) -> str:
    """Pays money back. A real one would pass on ``key`` (the run's id, say): after a crash the turn calls it again."""
    await asyncio.sleep(0.4)
    return f"Done: {amount} EUR for order {order} are on their way back to you."


TOOLS: dict[str, Callable[..., Awaitable[str]]] = {"find_order": find_order, "refund": refund}
RISKY = {"refund": "Pay back {amount} EUR for order {order}?"}
"""Tools that a person must approve, with the question."""

# --- the workflow: one turn -------------------------------------------------------------------------------------

flow = Workflow("chat", timeout=3600)


@flow.task(timeout=300)
async def reply(messages: Annotated[list[Message], Field(min_length=1)], ctx: Context) -> str:
    """Answers the last message: asks the model, calls the tools it wants, until it has nothing more to call."""
    model: Model = ctx.resources["model"]
    conversation, text = list(messages), ""
    for _ in range(ROUNDS):
        wanted: list[Call] = []
        # `aclosing`: a model that is stopped lets go of its connection at once
        async with ctx.llm_call(model.name) as call, aclosing(model.answer(conversation)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    call.tokens, call.cost = piece.tokens, piece.cost
                elif isinstance(piece, Call):
                    wanted.append(piece)
                else:
                    text += piece
                    await ctx.chunk(piece)
        if not wanted:
            return text
        results = [await use_tool(use, ctx) for use in wanted]
        conversation += [Message(role="tool", content=result[:MOST_CHARS]) for result in results]
    raise RuntimeError(f"the model still wants tools after {ROUNDS} rounds")


async def use_tool(call: Call, ctx: Context) -> str:
    """The result of a tool, once a person has approved it where that is needed."""
    if call.tool not in TOOLS:
        return f"there is no tool {call.tool!r}"
    question = RISKY.get(call.tool, "").format(**call.arguments)
    # The answer is recorded: a turn that runs again after a crash does not ask again.
    if question and not await ctx.receive(question, schema=bool):
        return "All right, I have not done it."
    async with ctx.tool_call(call.tool, call.arguments) as record:
        record.result = result = await TOOLS[call.tool](**call.arguments)
    return result


# --- the application --------------------------------------------------------------------------------------------

FILES = {"/": "index.html", "/chat.css": "chat.css", "/chat.js": "chat.js"}
HEADERS = {
    # all that the page may load and ask is here; nothing is inline
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def send_file(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE / FILES[request.path], headers=HEADERS)


def application(store: str, model: Model) -> web.Application:
    """The page, and the API with the JavaScript client under ``/api/v1``."""
    app = create_app(Engine(store, resources={"model": model}), flow)
    for path in FILES:
        app.router.add_get(path, send_file)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat with an agent.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--store", default="sqlite:///chat.db", help="where the conversations are; or memory://")
    parser.add_argument("--pace", type=float, default=0.03, help="seconds between two tokens of the scripted model")
    given = parser.parse_args()
    app = application(given.store, Scripted(given.pace))
    web.run_app(app, host="127.0.0.1", port=given.port, print=print, access_log=None)


if __name__ == "__main__":
    main()
