// Follows each stream of a list with the connection of the client: `node connections.mjs [{url, token}, …]`. The cursor is
// the last id. Prints a line for each: what was delivered, the pauses in ms (which take no time), and how it ended.
import { connect } from "../../web/reactor_web/javascript/connection.js";

const SILENCE = 45_000;

function follow({ url, token }) {
  const [delivered, waits] = [[], []];
  let cursor;
  const clock = {
    now: () => performance.now(),
    setTimeout(call, ms) {
      if (ms === SILENCE) return undefined;
      waits.push(ms);
      return setImmediate(call);
    },
    clearTimeout: (timer) => clearImmediate(timer),
  };
  return new Promise((resolve) => {
    connect({
      options: { clock, token },
      url: () => url,
      cursor: () => cursor,
      frame({ id, data }) {
        cursor = id;
        delivered.push(data);
      },
      status: () => {},
      end: () => resolve({ delivered, waits, end: "ended" }),
      fail: ({ isFinal, message }) => resolve({ delivered, waits, end: isFinal ? "refused" : "failed", message }),
    });
  });
}

for (const place of JSON.parse(process.argv[2])) console.log(JSON.stringify(await follow(place)));
