"""A team of agents: one plans, several research, a person approves, and one answers, token by token.

    python examples/agent.py --base-url http://localhost:11434/v1 --model llama3.2 "What is a window?" README.md
    reactor serve examples/agent.py                             see docs/agents.md for curl and the browser

    plan -> research[0..n] -> approval -> answer

It works with any endpoint that has `POST {base_url}/chat/completions`: OpenAI, Ollama, vLLM, llama.cpp, a gateway.
"""

import argparse
import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, nullcontext, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from reactivex import operators as ops

from reactor import Budget, Context, Engine, InputError, Limit, Retry, Run, RunFailed, Workflow, off_loop
from reactor.operators import select
from reactor_web.sse.parser import Frame, Parser
from reactor_web.terminal.lines import plain_line, printable

# --- one call of a model ----------------------------------------------------------------------------------------


class ChatError(Exception):
    """The endpoint refuses the request; asking again would not help."""


class TryAgain(ChatError):
    """The error may pass: too many requests, a failing server, a stream that breaks off."""


class Unreachable(TryAgain):
    """Nothing listens at the base URL."""


class Usage(BaseModel):
    """The tokens that a call used."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class Delta(BaseModel):
    content: str | None = None


class Choice(BaseModel):
    delta: Delta | None = None
    finish_reason: str | None = None


class Piece(BaseModel):
    """One message of the stream, with the members that matter here."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or "" for choice in self.choices if choice.delta)

    @property
    def finish_reason(self) -> str | None:
        return next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)


PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
"""In seconds. An answer may take any time, but silence may not: a large model reads a while before its first token."""
PASSING = (408, 409, 425, 429)
"""HTTP statuses that are worth another try, besides 5xx."""


async def stream_chat(
    session: aiohttp.ClientSession,
    base_url: str,
    model: str,
    messages: list[dict[str, str]],
    *,
    api_key: str | None = None,
    **options: Any,
) -> AsyncGenerator[Piece, None]:
    """The answer of the model, piece by piece; raises ChatError, or its subclass TryAgain for what may pass."""
    body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}, **options}
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    url = f"{base_url.rstrip('/')}/chat/completions"
    parser, is_finished = Parser(), False
    try:
        async with session.post(url, json=body, headers=headers, timeout=PATIENCE) as response:
            if response.status != 200 or response.content_type in ("application/json", "text/html"):
                text = (await response.content.read(64 * 1024)).decode("utf-8", "replace")
                raise refusal(response.status, f"{base_url} answered {response.status}", text, api_key)
            async for chunk in response.content.iter_any():
                for frame in parser.feed(chunk):
                    if frame.data == "[DONE]":
                        return
                    piece = piece_of(frame, api_key)
                    is_finished = is_finished or piece.finish_reason is not None
                    yield piece
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreachable(f"{base_url} cannot be reached: {error}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TryAgain(f"the connection to {base_url} broke: {str(error) or type(error).__name__}") from error
    if not is_finished:  # some endpoints end without [DONE], but not without a finish_reason
        raise TryAgain(f"the stream of {base_url} ended before the answer did")


def piece_of(frame: Frame, api_key: str | None) -> Piece:
    try:
        piece = Piece.model_validate_json(frame.data)
    except ValidationError:
        raise TryAgain("the stream has a message that is not part of a chat") from None
    if piece.error or frame.event == "error":
        code = piece.error.get("code") if isinstance(piece.error, dict) else None
        raise refusal(code if isinstance(code, int) else 500, "the stream broke off", frame.data, api_key)
    return piece


def refusal(status: int, what: str, body: str, api_key: str | None) -> ChatError:
    """The error for a refused call, without the key: endpoints quote it, and many people may read the event."""
    sentence = re.search(r'"(?:message|error|detail)"\s*:\s*"((?:[^"\\]|\\.)*)"', body)
    said = sentence[1] if sentence else " ".join(body.split())
    said = said.replace(api_key, "[the key]") if api_key else said
    return (TryAgain if status >= 500 or status in PASSING else ChatError)(f"{what}: {said[:300]}")


# --- inputs of a run --------------------------------------------------------------------------------------------


class Endpoint(BaseModel):
    """Where the model is, and its prices in dollars for a million tokens."""

    base_url: str = Field(default="", description="such as https://api.openai.com/v1; the default is OPENAI_BASE_URL")
    model: str = "gpt-4o-mini"
    # A SecretStr is masked in every event. So the log cannot restore it: a run that was given its key does not go on
    # after a restart, while one that takes the key from the environment does.
    api_key: SecretStr | None = None
    input_price: Decimal = Field(default=Decimal(0), ge=0)
    output_price: Decimal = Field(default=Decimal(0), ge=0)

    @field_validator("base_url")
    @classmethod
    def is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("an http:// or https:// URL without credentials")
        return url

    def address(self) -> tuple[str, str | None]:
        """URL and key. The key from the environment is only sent to the URL from the environment: who may start runs
        must not be able to have it sent elsewhere."""
        url = self.base_url or os.environ.get("OPENAI_BASE_URL", "")
        if not url:
            raise ChatError("there is no endpoint: give a base_url, or set OPENAI_BASE_URL")
        key = None if self.base_url else os.environ.get("OPENAI_API_KEY")
        return url, self.api_key.get_secret_value() if self.api_key else key

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        return (prompt_tokens * self.input_price + completion_tokens * self.output_price) / 1_000_000


OPENAI = Endpoint()
NO_NOTES: dict[str, str] = {}


class Verdict(BaseModel):
    """What a person decides about the findings."""

    approved: bool
    note: str = ""


# --- the team ---------------------------------------------------------------------------------------------------

PLAN = "Split the question into at most four search questions. Write one a line and nothing else."
RESEARCH = "Say in at most three sentences what the lines below tell about the question. Add nothing of your own."
ANSWER = "Answer the question from the findings. Say so where they do not suffice."

ONCE_MORE = Retry(attempts=3, delay=0.25, backoff=4, retry_on=TryAgain)
AT_ONCE = Limit("llm", 4)
"""At most four calls at once, in all runs of this engine together."""

flow = Workflow("agent", timeout=3600)


async def ask(ctx: Context, endpoint: Endpoint, task: str, given: str, *, aloud: bool = False) -> str:
    """One call of the model, with its cost recorded. ``aloud``: emits every token to those who follow the run."""
    url, key = endpoint.address()
    messages = [{"role": "system", "content": task}, {"role": "user", "content": given}]
    # A token has about four letters. The estimate is used if the endpoint does not say what the call took.
    estimate = endpoint.cost(len(task + given) // 4, 500)
    text, reason = "", None
    shared = ctx.resources.get("http")
    async with (
        nullcontext(shared) if shared else aiohttp.ClientSession() as session,
        ctx.llm_call(endpoint.model, estimated_cost=estimate) as call,
        # closes the connection at once, also if this body is stopped
        aclosing(stream_chat(session, url, endpoint.model, messages, api_key=key)) as pieces,
    ):
        async for piece in pieces:
            text += piece.text
            reason = piece.finish_reason or reason
            if aloud and piece.text:
                await ctx.chunk(piece.text)
            if (usage := piece.usage) is not None:
                call.tokens = usage.prompt_tokens + usage.completion_tokens
                call.cost = endpoint.cost(usage.prompt_tokens, usage.completion_tokens)
    if reason not in (None, "stop"):
        await ctx.log.warning("the model was cut off", finish_reason=reason)
    return text


@flow.task(retry=ONCE_MORE, timeout=300, limits=AT_ONCE)
async def plan(question: str, ctx: Context, endpoint: Endpoint = OPENAI) -> list[str]:
    lines = (await ask(ctx, endpoint, PLAN, question)).splitlines()
    questions = [re.sub(r"^\s*([-*•]|\d+[.)])?\s*", "", line).strip() for line in lines]
    return [line for line in questions if line][:4] or [question]


# A tool is a function; `ctx.tool_call` records its calls as events. This one searches the notes the run was given, and
# opens no files: somebody who may start a run over HTTP need not be allowed to read this disk.
@flow.task(map={"topic": "plan"}, retry=ONCE_MORE, timeout=300, limits=AT_ONCE)
async def research(topic: str, ctx: Context, notes: dict[str, str] = NO_NOTES, endpoint: Endpoint = OPENAI) -> str:
    async with ctx.tool_call("search", {"words": topic}) as call:
        call.result = found = search(topic, notes)
    return await ask(ctx, endpoint, RESEARCH, "\n".join([topic, *found]))


def search(words: str, notes: dict[str, str], most: int = 8) -> list[str]:
    """The lines that have most of the words in them, best first; at most `most`."""
    wanted = {word for word in re.findall(r"\w+", words.lower()) if len(word) > 3}
    lines = [f"{name}: {line.strip()}"[:500] for name, text in notes.items() for line in text.splitlines()]
    hits = {line: len(wanted.intersection(re.findall(r"\w+", line.lower()))) for line in lines}
    return sorted((line for line in hits if hits[line]), key=lambda line: -hits[line])[:most]


# Waits as long as it takes, across restarts too. It does not count for `AT_ONCE` while it waits.
@flow.task
async def approval(research: list[str], ctx: Context, unattended: bool = False) -> Verdict:
    if unattended:
        return Verdict(approved=True)
    return await ctx.receive(f"Answer from these {len(research)} findings?", schema=Verdict)


@flow.task(when=lambda approval: approval.approved, retry=ONCE_MORE, timeout=600, limits=AT_ONCE)
async def answer(
    question: str, research: list[str], approval: Verdict, ctx: Context, endpoint: Endpoint = OPENAI
) -> str:
    given = "\n\n".join([question, *research, approval.note])
    return await ask(ctx, endpoint, ANSWER, given, aloud=True)


# --- in the terminal --------------------------------------------------------------------------------------------


async def run_here(given: dict[str, Any], budget: Budget | None) -> int:
    outputs: dict[str, Any] = {}
    failed: RunFailed | None = None
    if (task := asyncio.current_task()) is not None:
        # Without a handler of the loop's own, a Ctrl-C that comes just before the loop waits does not wake it.
        with suppress(NotImplementedError):  # on Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    async with aiohttp.ClientSession() as session, Engine(resources={"http": session}) as engine:
        run = await engine.start(flow, given, budget=budget)
        # `off_loop` runs what follows in a thread, so that a slow terminal holds back nothing else.
        run.events.pipe(
            off_loop(), select(types="task.completed,budget.*"), ops.map(plain_line), ops.filter(bool)
        ).subscribe(say)
        # Every attempt begins anew. `printable` removes colours and cursor moves from what the model says.
        run.events.pipe(
            off_loop(),
            select(types="task.chunk,task.retrying", tasks="answer"),
            ops.map(lambda event: event.data.get("text", "\n[it broke off, trying again]\n")),
        ).subscribe(lambda text: print(printable(text, keep="\n\t"), end="", flush=True))
        if not given["unattended"]:
            await approve(run)
        try:
            outputs = await run
        except RunFailed as error:
            failed = error
    # The engine has closed by now, and has waited until everything was printed.
    if failed is not None:
        return refuse(str(failed.__cause__)) if isinstance(failed.__cause__, Unreachable) else say(str(failed), 1)
    print(flush=True)
    if not outputs:
        say("not approved, there is no answer")
    return say(f"{run.state.tokens or 0} tokens, ${float(run.state.cost or 0):g}")


async def approve(run: Run) -> None:
    """Asks for approval in the terminal, once the run waits for it."""
    event = await run.events.pipe(select(types="task.waiting,run.completed,run.failed,run.cancelled"), ops.first())
    if event.type == "task.waiting":
        print(f"{event.data['prompt']} [y/N] ", end="", file=sys.stderr, flush=True)
        word = (await typed()).strip().lower()
        await run.send("approval", {"approved": word in ("y", "yes")})


async def typed() -> str:
    """Reads a line from standard input, so that Ctrl-C still works."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(sys.stdin, ready.set)
    except PermissionError:  # standard input is a file, which never blocks
        return sys.stdin.readline()
    try:
        await ready.wait()
        return sys.stdin.readline()
    finally:
        loop.remove_reader(sys.stdin)


def say(text: str, code: int = 0) -> int:
    print(f"agent: {printable(text)}", file=sys.stderr, flush=True)
    return code


def refuse(sentence: str) -> NoReturn:
    sys.exit(say(sentence, 2))


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Answers a question from some files.")
    parser.add_argument("question")
    parser.add_argument("files", nargs="*", type=Path, help="files to search in")
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL"), help="the default is OPENAI_BASE_URL")
    parser.add_argument("--model", default=OPENAI.model)
    parser.add_argument("--prices", nargs=2, default=(0, 0), metavar=("IN", "OUT"), help="dollars for a million tokens")
    parser.add_argument("--budget", metavar="DOLLARS", help="stop the run after the call that goes beyond it")
    parser.add_argument("--yes", action="store_true", help="do not ask for approval")
    options = parser.parse_args(arguments)
    if not options.base_url:
        refuse("there is no endpoint: give --base-url http://..., or set OPENAI_BASE_URL")
    endpoint = {
        "base_url": options.base_url,
        "model": options.model,
        "api_key": os.environ.get("OPENAI_API_KEY") or None,
        "input_price": options.prices[0],
        "output_price": options.prices[1],
    }
    try:
        notes = {str(file): file.read_text(errors="replace") for file in options.files}
        # A call is counted when it ends, so calls under way may still go beyond the budget.
        budget = None if options.budget is None else Budget(cost=options.budget)
        given = {"question": options.question, "notes": notes, "endpoint": endpoint, "unattended": options.yes}
        flow.validate().validate_input(given)
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}")
    except (ValueError, InputError) as error:
        refuse(str(error))
    try:
        return asyncio.run(run_here(given, budget))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


if __name__ == "__main__":
    logging.getLogger("reactor").setLevel(logging.CRITICAL)  # a failure is told in one sentence, not by its traceback
    sys.exit(main())
