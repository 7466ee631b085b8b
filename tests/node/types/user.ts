// What a user of the package writes, and what its types must refuse. It is compiled and never run.
import { Reactor, ReactorError, RemoteRun, Stream, evolve, follow, initialState, progress } from "reactor-client";
import { followAll } from "reactor-client/all";
import { evolveChat, initialChat } from "reactor-client/chat";
import { followShared } from "reactor-client/shared";

async function right(): Promise<void> {
  const api = new Reactor("/api/v1", { token: async ({ refresh }) => (refresh ? "new" : "old"), headers: { "X-A": "1" } });
  const run: RemoteRun = await api.start("w", { a: 1 }, { id: "r1", budget: { cost: 1 } });
  const stream: Stream = run.follow({
    types: ["task.*"],
    onEvent: ({ seq, type, data }) => console.log(seq.toFixed(), type.toUpperCase(), data),
    onState: (state, event) => console.log(state.tasks["a"]?.status === "completed", event?.seq, progress(state)),
    onStatus: (status) => console.log(status === "polling"),
    onGap: ({ from, to, reason }) => console.log(to - from, reason.length),
    onError: (error) => console.log(error.message),
  });
  for await (const event of stream) console.log(event.task_id?.length);
  const state = await stream.done;
  console.log(state?.status, stream.chunks["a"]?.text, stream.lastSeq + 1);
  await run.send("ask", true, { key: null, run: "child" });
  const { runs, cursor } = await api.list({ status: "running", limit: 10 });
  console.log(runs.length, cursor?.length, (await run.retry()).url);
  const leaving = new AbortController();
  follow("/api/v1/runs/r1", { signal: leaving.signal, query: { tasks: "a", throttle: 100 } }).close();
  evolve(initialState("r1"), { seq: 1, run_id: "r1", type: "x", time: "", data: {} });
  followShared("/api/v1/runs/r1", { principal: "ada" }).reconnect();
  followAll("/api/v1", ["r1"], { onEvent: (event) => console.log(event.seq) }).close();
  console.log(evolveChat(initialChat(), { seq: 1, run_id: "r1", type: "x", time: "", data: {} }).parts.length);
  const error: Error = new ReactorError("no", 404);
  if (error instanceof ReactorError && error.status === 404) console.log(error.problem?.detail);
}

async function wrong(api: Reactor, stream: Stream): Promise<void> {
  // @ts-expect-error a base is text
  new Reactor(3);
  // @ts-expect-error a workflow has a name
  await api.start();
  // @ts-expect-error a budget has no such member
  await api.start("w", {}, { budget: { money: 1 } });
  // @ts-expect-error the option is onEvent
  follow("/runs/r1", { onevent: () => {} });
  // @ts-expect-error types is a list
  follow("/runs/r1", { types: "task.*" });
  // @ts-expect-error a seq is a number
  follow("/runs/r1", { after: "3" });
  // @ts-expect-error there is no such status
  console.log(stream.status === "closed");
  // @ts-expect-error a stream may have no state
  console.log(stream.state.status);
  // @ts-expect-error a task may not be there yet, and its tokens may be a bigint
  const tokens: number = stream.state?.tasks["a"].tokens;
  // @ts-expect-error an event has a seq
  evolve(initialState("r1"), { run_id: "r1", type: "x", time: "", data: {} });
  // @ts-expect-error a run is paused with a reason, not with text
  await api.run("r1").pause("lunch");
  // @ts-expect-error a run does not start
  await api.run("r1").start();
  // @ts-expect-error nothing of the inside of the package is exported
  await import("reactor-client/connection.js");
  console.log(tokens);
}

void right;
void wrong;
