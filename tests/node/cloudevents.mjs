// Decodes CloudEvents with the SDK: lines {type, body} in, the events of each body out as a line of JSON.
import { createInterface } from "node:readline";
import { HTTP } from "cloudevents";

for await (const line of createInterface({ input: process.stdin })) {
  const { type, body } = JSON.parse(line);
  const decoded = HTTP.toEvent({ headers: { "content-type": type }, body });
  const events = [decoded].flat();
  for (const event of events) event.validate();
  console.log(JSON.stringify(events));
}
