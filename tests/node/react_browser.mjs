// Pages in Chromium, one at a time, driven by lines of JSON on stdin: {"open": URL}, or {"call": name, "args": […]} of
// `react_page.mjs`. Each is answered with one line.
import { chromium } from "playwright-core";
import { createInterface } from "node:readline";
import { executable, show } from "./browser.mjs";

const browser = await chromium.launch({
  executablePath: executable, args: ["--no-sandbox", "--disable-gpu", "--js-flags=--expose-gc"],
});
let page;
for await (const line of createInterface({ input: process.stdin })) {
  const { open, call, args } = JSON.parse(line);
  try {
    if (open) {
      await page?.close();
      page = await browser.newPage();
      page.on("pageerror", (error) => console.error("in the page:", error));
      await page.goto(open);
      await page.waitForFunction(() => globalThis.page);
      show(null);
    } else show((await page.evaluate(([name, given]) => globalThis.page[name](...given), [call, args])) ?? null);
  } catch (error) {
    show({ failed: error.message });
  }
}
await browser.close();
