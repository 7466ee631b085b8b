// A real browser for the scripts of this folder: `const { browser, show } = await launch()`. The first argument of the
// script is the path of Chromium. What must not happen in any page ends the script: an error that nobody catches.
import { chromium } from "playwright-core";

export const [executable, ...given] = process.argv.slice(2);

export async function launch() {
  const browser = await chromium.launch({
    executablePath: executable,
    args: ["--no-sandbox", "--disable-gpu"],
    ignoreDefaultArgs: ["--disable-back-forward-cache"], // people have it
  });
  return browser;
}

/** A line of JSON for the test that runs this script. */
export const show = (value) => console.log(JSON.stringify(value));

/**
 * A page whose uncaught errors end the script. It tells every request it makes (`requests` has the URLs) and what it
 * writes to its console as an error (`errors`).
 */
export async function open(context, url) {
  const page = await context.newPage();
  const requests = [];
  const errors = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => {
    console.error(error);
    process.exit(1);
  });
  await page.goto(url);
  return { page, requests, errors };
}
