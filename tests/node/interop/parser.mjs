// `eventsource-parser` in a loop of fetch: node parser.mjs URL
import { createParser } from "eventsource-parser";

const [url] = process.argv.slice(2);
const show = (line) => console.log(JSON.stringify(line));
let last = "";
let ended;

function onEvent({ id = "", event = "message", data }) {
  show({ id, event, data });
  last = id;
  if (event === "stream.end") ended = event;
}

async function read() {
  const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
  const response = await fetch(url, { headers });
  if (response.status === 204) return "204";
  if (!response.ok) throw new Error(`status ${response.status}`);
  show({ opened: true });
  const parser = createParser({ onEvent });
  const decoder = new TextDecoder();
  for await (const bytes of response.body) parser.feed(decoder.decode(bytes, { stream: true }));
  return ended; // undefined: the connection was closed before the end
}

while (ended === undefined) {
  ended = await read().catch(() => ended); // refused, broken off, 502
  if (ended === undefined) await new Promise((resolve) => setTimeout(resolve, 200));
}
show({ ended });
