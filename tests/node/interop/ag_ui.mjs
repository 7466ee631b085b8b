// An HttpAgent that asks for one run, again with the same `runId` until it has the end:
//
//     node ag_ui.mjs URL THREAD SCENE
//
// Each event is a line {chunk}; then come the messages and the state that it has made of them.
import { HttpAgent } from "@ag-ui/client";

const [url, threadId, scene] = process.argv.slice(2);
const show = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
console.warn = (...parts) => show({ warning: parts.join(" ") });
console.error = () => {}; // of connections that broke
// the client cancels the reader of a connection that broke, and does not look at what comes of that
process.on("unhandledRejection", () => {});

const agent = new HttpAgent({ url, threadId });
agent.addMessage({ id: "m1", role: "user", content: "go" });
let ended;
const subscriber = {
  onRunStartedEvent: () => show({ opened: true }),
  onEvent: ({ event }) => show({ chunk: event }),
  onRunFinishedEvent: ({ event }) => (ended = `RUN_FINISHED ${event.outcome?.type ?? "success"}`),
  onRunErrorEvent: ({ event }) => {
    if (event.code !== "stream_closing") ended = `RUN_ERROR ${event.message}`;
  },
};
while (ended === undefined) {
  try {
    await agent.runAgent({ runId: "r1", forwardedProps: { scene } }, subscriber);
  } catch {
    // refused, broken off, 502
  }
  if (ended === undefined) await new Promise((resolve) => setTimeout(resolve, 200));
}
show({ messages: agent.messages, state: agent.state });
show({ ended });
