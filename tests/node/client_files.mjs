// Loads every module of the client into a real browser: as a page of another site, and from workers of its own site.
// node client_files.mjs CHROMIUM BASE OTHER_SITE MODULE...
import { given, launch, open, show } from "./browser.mjs";

const [base, otherSite, ...modules] = given;
const browser = await launch();

/** The names that each module exports, as this page loads it. */
const load = (urls) =>
  Promise.all(urls.map(async (url) => Object.keys(await import(url)).length));

/** What a worker says that imports a module; its own script is a blob, so the module alone comes from the server. */
const inWorkers = async (url) => {
  const heard = (target) => new Promise((tell, fail) => {
    target.addEventListener("message", (event) => tell(event.data));
    target.addEventListener("error", (event) => fail(new Error(`a worker has failed: ${event.message}`)));
  });
  const script = (say) =>
    URL.createObjectURL(new Blob([`import * as client from "${url}";\n${say}`], { type: "text/javascript" }));
  const names = "Object.keys(client).sort()";
  const dedicated = new Worker(script(`postMessage(${names})`), { type: "module" });
  const shared = new SharedWorker(script(`onconnect = ({ ports: [port] }) => port.postMessage(${names})`), {
    type: "module",
  });
  shared.port.start();
  const sharedHeard = Promise.race([heard(shared.port), heard(shared)]);
  return [await heard(dedicated), await sharedHeard];
};

const context = await browser.newContext();
const { page: foreign } = await open(context, otherSite);
show(await foreign.evaluate(load, modules.map((name) => `${base}/client/${name}`)));
const { page: own } = await open(context, `${base}/healthz`);
show(await own.evaluate(inWorkers, `${base}/client/reactor.js`));
await browser.close();
