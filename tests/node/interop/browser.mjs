// A page in Chromium with its own EventSource and with @microsoft/fetch-event-source, both at the same time:
//
//     node browser.mjs CHROMIUM PAGE URL_OF_EVENTSOURCE URL_OF_FETCH
//
// Each line has the name of its `client`. PAGE: what the page shows, of another origin than what it follows.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { given, launch, open, show } from "../browser.mjs";
import { followWithEventSource, followWithFetchEventSource } from "./page.mjs";

const [page_url, event_source_url, fetch_url] = given;
const folder = join(dirname(createRequire(import.meta.url).resolve("@microsoft/fetch-event-source")), "../esm");
const [parse, fetching] = ["parse.js", "fetch.js"].map((file) => readFileSync(join(folder, file), "utf8"));

const browser = await launch();
// the certificate of the tests is in no store of Chromium
const { page } = await open(await browser.newContext({ ignoreHTTPSErrors: true }), page_url);
let left = 2;
let finish;
const finished = new Promise((resolve) => (finish = resolve));
await page.exposeFunction("show", (client, line) => {
  show({ client, ...line });
  if (line.ended && --left === 0) finish();
});
await page.evaluate(
  async ({ native, fetched, parse, fetching, event_source_url, fetch_url }) => {
    const module_of = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const library = await import(module_of(fetching.replace("'./parse'", `'${module_of(parse)}'`)));
    const follow = (0, eval)(`(${native})`);
    const follow_by_fetch = (0, eval)(`(${fetched})`);
    follow(EventSource, event_source_url, (line) => window.show("EventSource", line));
    follow_by_fetch(library.fetchEventSource, fetch_url, (line) => window.show("fetch-event-source", line));
  },
  {
    native: String(followWithEventSource), fetched: String(followWithFetchEventSource),
    parse, fetching, event_source_url, fetch_url,
  },
);
await finished;
await browser.close();
