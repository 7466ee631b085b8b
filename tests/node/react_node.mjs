// The page of `react_page.mjs` in Node, with the same lines on stdin as `react_browser.mjs`; `open` names the server.
// `serve` renders components as a server does. Run it with --expose-gc.
import { register } from "node:module";
import { createInterface } from "node:readline";
import { counted, createPage } from "./react_page.mjs";

// the client imports the React of whoever uses it: here that of this folder
const resolve = `export const resolve = (name, context, next) =>
  next(name, /^react/.test(name) ? { ...context, parentURL: ${JSON.stringify(import.meta.url)} } : context);`;
register(`data:text/javascript,${encodeURIComponent(resolve)}`);

const React = await import("react");
const { create } = await import("react-test-renderer");
const { renderToString } = await import("react-dom/server");
const left = counted(globalThis);
const hooks = await import("../../web/reactor_web/javascript/react.js");

const show = (value) => console.log(JSON.stringify(value ?? null));
const renderer = () => {
  let root;
  return {
    render: (element) => (root ? root.update(element) : (root = create(element))),
    unmount: () => root?.unmount(),
  };
};
const turn = () => new Promise((resolve) => setTimeout(resolve));
let page;
for await (const line of createInterface({ input: process.stdin })) {
  const { open, call, args } = JSON.parse(line);
  try {
    if (open) show((page = Object.assign(createPage(React, hooks, { create: renderer, turn }), { left })) && null);
    else if (call === "serve") show(renderToString(page.element(...args)));
    else show(await page[call](...args));
  } catch (error) {
    show({ failed: error.stack });
  }
}
