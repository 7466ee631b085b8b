// Follows a run whose server asks who asks: `node ticket.mjs KIND URL MORE`, where URL is that of the run's events.
//
//     chromium  URL?ticket=… PATH   the EventSource of Chromium at PATH, with a page of the same origin
//     npm       URL?ticket=…        npm `eventsource`
//     ticket    URL KEY             `follow`, which asks for a ticket for each stream and page
//     token     URL KEY             `follow` with a token that is refused once, then this one
//
// A line for each event that comes. An EventSource that gives up shows that: nobody opens another one in its place.
import { follow } from "../../web/reactor_web/javascript/follow.js";

const [kind, url, more] = process.argv.slice(2);
const show = (line) => console.log(JSON.stringify(line));

/** With `names=0` in the URL onmessage is given every event. It stands for itself: it is sent to a browser as text. */
function watch(EventSource, url, show) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    let isOver = false;
    const end = (line) => {
      source.close();
      resolve(show(line));
    };
    source.onopen = () => show({ opened: true });
    source.onmessage = ({ data }) => {
      const { type, seq, data: said } = JSON.parse(data);
      isOver ||= type === "run.completed";
      if (type === "stream.end") end({ ended: type });
      else if (type === "stream.closing") show({ closing: said.reason, code: said.code });
      else if (seq) show({ seq });
    };
    source.onerror = () => {
      // cut off behind the last event it is answered 204, which to a page looks as any other refusal
      if (source.readyState === EventSource.CLOSED) end({ ended: isOver ? "204" : "it gave up" });
    };
  });
}

async function ticket() {
  const [, api, run_id] = /^(.*)\/runs\/(.*)$/.exec(url);
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${more}` };
  const answer = await fetch(`${api}/stream-tickets`, { method: "POST", headers, body: JSON.stringify({ run_id }) });
  return (await answer.json()).ticket;
}

async function followed(options) {
  const onError = (error) => show({ ended: error.message });
  const stream = follow(url, { ...options, onEvent: ({ seq }) => show({ seq }), onError });
  await stream.done.then(() => show({ ended: "stream.end" }), () => undefined);
}

if (kind === "chromium") {
  process.argv.splice(2, 3, more);
  const { launch, open } = await import("./browser.mjs");
  const browser = await launch();
  const { page } = await open(await browser.newContext(), `${new URL(url).origin}/api/v1/healthz`);
  await page.exposeFunction("show", show);
  await page.evaluate(({ watch, url }) => (0, eval)(`(${watch})`)(EventSource, url, window.show), { watch: `${watch}`, url });
  await browser.close();
} else if (kind === "npm") {
  await watch((await import("eventsource")).EventSource, url, show);
} else if (kind === "ticket") {
  await followed({ ticket });
} else {
  await followed({ token: ({ refresh }) => (refresh ? more : "rk_old_key") });
}
