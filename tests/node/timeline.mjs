// The hook of a chat page: fetchEventSource, which takes a clean end for the end and comes back after any other.
// node timeline.mjs URL [cut]   With cut, the connection breaks after each frame.
import { cutting } from "./cutting.mjs";

globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
globalThis.window = { fetch, setTimeout, clearTimeout };
const { fetchEventSource } = await import("@microsoft/fetch-event-source");

const [url, mode] = process.argv.slice(2);
let pings = 0;
await fetchEventSource(url, {
  fetch: cutting(mode === "cut" ? 1 : Infinity, true),
  onmessage(message) {
    if (!message.data) return void pings++; // a ping
    console.log(JSON.stringify({ event: message.event, id: message.id, data: JSON.parse(message.data) }));
  },
  onclose: () => console.log(JSON.stringify({ closed: true, pings })),
  onerror: () => console.log(JSON.stringify({ lost: true })) ?? 1,
});
