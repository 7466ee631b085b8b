// What two JavaScript parsers make of event streams: on stdin [{body: base64, sizes: [1, 7, …]}, …], where `sizes` are
// the lengths of the chunks in which the body comes, again and again. On stdout for each body
// {eventsource: [[id, event, data], …], fetch: [[id, event, data], …]}; an id or event that a block does not have is "".
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createParser } from "eventsource-parser";

// its package has no entry for Node's import, and its main file is for browsers
const { getLines, getMessages } = createRequire(import.meta.url)("@microsoft/fetch-event-source/lib/cjs/parse.js");

function* chunks({ body, sizes }) {
  const bytes = Buffer.from(body, "base64");
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const end = start + sizes[turn % sizes.length];
    yield new Uint8Array(bytes.subarray(start, end));
    start = end;
  }
}

function withEventSourceParser(given) {
  const events = [];
  const parser = createParser({
    onEvent: ({ id, event, data }) => events.push([id ?? "", event ?? "", data]),
    onError: (problem) => events.push(["error", String(problem), ""]),
  });
  const decoder = new TextDecoder();
  for (const chunk of chunks(given)) parser.feed(decoder.decode(chunk, { stream: true }));
  return events;
}

function withFetchEventSource(given) {
  const events = [];
  const nothing = () => {};
  const onChunk = getLines(getMessages(nothing, nothing, ({ id, event, data }) => events.push([id, event, data])));
  for (const chunk of chunks(given)) onChunk(chunk);
  return events;
}

const given = JSON.parse(readFileSync(0, "utf8"));
const made = given.map((one) => ({ eventsource: withEventSourceParser(one), fetch: withFetchEventSource(one) }));
process.stdout.write(JSON.stringify(made));
