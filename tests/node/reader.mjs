// Reads the vectors of event streams with the client: whole, one byte at a time, and cut once at every byte. Prints a line
// for each: what came of it, whole, and whether every way of cutting gave the same.
import { readFileSync } from "node:fs";
import { FrameReader } from "../../web/reactor_web/javascript/reader.js";

const { frames, retry } = JSON.parse(readFileSync(process.argv[2], "utf-8"));

function read(pieces) {
  const reader = new FrameReader();
  const found = pieces.flatMap((piece) => reader.push(piece));
  return JSON.stringify({ frames: found, retry: reader.retry ?? null });
}

for (const { body } of [...frames, ...retry]) {
  const bytes = Uint8Array.from(body, (byte) => byte.charCodeAt(0));
  const whole = read([bytes]);
  const cut = Array.from(bytes, (_, at) => read([bytes.subarray(0, at), bytes.subarray(at)]));
  const single = read(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)));
  const alike = [single, ...cut].every((one) => one === whole);
  console.log(JSON.stringify({ ...JSON.parse(whole), alike }));
}
