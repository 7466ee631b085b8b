// A page of an agent platform: an EventSource with a listener for each type it knows, and onmessage for the rest.
// node domain.mjs URL [cut]   With cut, the connection breaks after each frame.
import { EventSource } from "eventsource";
import { cutting } from "./cutting.mjs";

const TYPES = [
  "WorkflowStarted", "WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled", "WorkflowPaused", "WorkflowResumed",
  "WorkflowStepStarted", "WorkflowStepCompleted", "WorkflowStepFailed", "WorkflowLLMCallStarted",
  "WorkflowLLMCallCompleted", "WorkflowToolCallStarted", "WorkflowToolCallCompleted", "WorkflowBudgetWarning",
  "WorkflowBudgetExceeded", "Heartbeat",
];

const [url, mode] = process.argv.slice(2);
const source = new EventSource(url, { fetch: cutting(mode === "cut" ? 1 : Infinity, false) });

function show(heard, event) {
  const data = JSON.parse(event.data);
  console.log(JSON.stringify({ heard, type: event.type, id: event.lastEventId, data }));
}

source.onmessage = (event) => show("message", event);
for (const type of TYPES) source.addEventListener(type, (event) => show(type, event));
source.onerror = () => {
  // between two connections it is CONNECTING; CLOSED after a 204
  if (source.readyState === EventSource.CLOSED) console.log(JSON.stringify({ heard: "closed" }));
};
