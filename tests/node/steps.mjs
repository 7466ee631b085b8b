// A client of step updates, as their document describes it: an EventSource whose onmessage shows updates.
//
//     node steps.mjs URL [stays]
//
// Its onerror closes, as in the document. With "stays" it does not: the EventSource comes back until it is told 204.
// Prints one line of JSON for each update, the progress bar, the log and the cards in the end, and what it closed for.
import { EventSource } from "eventsource";

const [url, stays] = process.argv.slice(2);
const print = (shown) => console.log(JSON.stringify(shown));

const evtSource = new EventSource(url);
const bar = { value: 0, textContent: "" };
const log = [];
const agentCards = {};

evtSource.onmessage = (event) => {
  const update = JSON.parse(event.data);
  bar.value = update.progress * 100;
  bar.textContent = `${update.step_name}: ${update.message}`;
  log.push(`[${update.timestamp}] ${update.step_name}: ${update.status}`);
  if (update.step_type === "parallel") {
    agentCards[`agent-${update.parallel_index}`] = `${update.step_name} ${update.status}`;
  }
  print({ id: event.lastEventId, update });
};

const closing = [];
evtSource.addEventListener("stream.closing", (event) => closing.push(JSON.parse(event.data).data.reason));
evtSource.addEventListener("stream.end", (event) => closing.push(JSON.parse(event.data).data.status));

evtSource.onerror = () => {
  if (stays && evtSource.readyState !== EventSource.CLOSED) return;
  evtSource.close();
  print({ bar, log, agentCards, closing });
};
