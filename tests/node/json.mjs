// Reads each line of stdin with the client's `parse`, and prints `{"type", "text", "same"}`: what `typeof` says of
// the value, the value by `stringify`, and whether `JSON` itself writes the same; or `{"error"}`.
import { createInterface } from "node:readline";
import { parse, stringify } from "../../web/reactor_web/javascript/json.js";

function read(text) {
  const value = parse(text);
  const plain = JSON.parse(text);
  const written = JSON.stringify(plain);
  const same = stringify(plain) === written && stringify(parse(written)) === written;
  return `{"type":"${typeof value}","text":${stringify(value)},"same":${same}}`;
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  try {
    console.log(read(JSON.parse(line)));
  } catch (error) {
    console.log(JSON.stringify({ error: error.name }));
  }
}
