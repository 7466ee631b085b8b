// Adds what is said on stdin, a JSON list of events, to no chunks. Prints `{"chunks", "changed"}`: the texts at the end,
// and what `addChunk` said after each event.
import { readFileSync } from "node:fs";
import { addChunk } from "../../web/reactor_web/javascript/chunks.js";

const chunks = Object.create(null);
const changed = JSON.parse(readFileSync(0, "utf8")).map((event) => addChunk(chunks, event));
console.log(JSON.stringify({ chunks, changed }));
