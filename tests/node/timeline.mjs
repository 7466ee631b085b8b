// The hook of a chat page: fetchEventSource, which takes a clean end for the end and comes back after any other.
// node timeline.mjs URL [whole|cut [EXECUTE BODY]]
// With cut, the connection breaks after each frame. With EXECUTE, that is asked once the stream has been opened.
import { cutting } from "./cutting.mjs";

globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
globalThis.window = { fetch, setTimeout, clearTimeout };
const { fetchEventSource } = await import("@microsoft/fetch-event-source");

const [url, mode, execute, body] = process.argv.slice(2);
const show = (shown) => console.log(JSON.stringify(shown));
let pings = 0;

const timeline = fetchEventSource(url, {
  fetch: cutting(mode === "cut" ? 1 : Infinity, true),
  onmessage(message) {
    if (!message.data) return void pings++; // a ping
    show({ event: message.event, id: message.id, data: JSON.parse(message.data) });
  },
  onclose: () => show({ closed: true, pings }),
  onerror() {
    show({ lost: true });
    return 1; // milliseconds
  },
});

if (execute) {
  const response = await fetch(execute, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  show({ status: response.status, answer: await response.json() });
}
await timeline;
