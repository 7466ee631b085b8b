// npm `eventsource`: node eventsource.mjs URL
import { EventSource } from "eventsource";
import { followWithEventSource } from "./page.mjs";

followWithEventSource(EventSource, process.argv[2], (line) => console.log(JSON.stringify(line)));
