// A browser that is told what to do, a line of JSON each: `{n, verb, …}` is answered by `{n, value}` or `{n, error}`.
// Contexts are browsers of their own; pages of one context are tabs of one browser.
import { createInterface } from "node:readline";

import { launch, open, show } from "./browser.mjs";

const browser = await launch();
const contexts = new Map();
const pages = new Map();

const verbs = {
  async open({ tab, context, url }) {
    if (!contexts.has(context)) contexts.set(context, browser.newContext());
    pages.set(tab, await open(await contexts.get(context), url));
  },
  run: ({ tab, code }) => pages.get(tab).page.evaluate(code),
  /** A method of the page, as a user acts: click, fill, press … */
  act: async ({ tab, method, args }) => void (await pages.get(tab).page[method](...args)),
  errors: ({ tab }) => pages.get(tab).errors,
  requests: ({ tab }) => pages.get(tab).requests,
  close: ({ tab }) => pages.get(tab).page.close(),
  crash: ({ tab }) => pages.get(tab).page.goto("chrome://crash").catch(() => undefined),
  /** "frozen", as a browser does with tabs that nobody has looked at for long, or "active". */
  async lifecycle({ tab, state }) {
    const { page } = pages.get(tab);
    // Playwright shows its pages all the time, and only one that is hidden can freeze: this is the session that does it
    const { _client: client } = page._connection.toImpl(page).delegate._mainFrameSession;
    if (state === "frozen") await client.send("Emulation.setFocusEmulationEnabled", { enabled: false });
    await client.send("Page.setWebLifecycleState", { state });
    if (state === "active") await client.send("Emulation.setFocusEmulationEnabled", { enabled: true });
  },
  offline: async ({ context, value }) => (await contexts.get(context)).setOffline(value),
  async end({ context }) {
    await (await contexts.get(context))?.close();
    contexts.delete(context);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { n, verb, ...more } = JSON.parse(line);
  Promise.resolve(verbs[verb](more)).then(
    (value) => show({ n, value }),
    (error) => show({ n, error: `${error}` }),
  );
}
await browser.close();
