// A client of execution events, as their document describes it: an EventSource, four named events, closed at the end.
//
//     node execution.mjs URL
//
// Prints one line of JSON for each event that it is given, and ends when the client has closed.
import { EventSource } from "eventsource";

const [url] = process.argv.slice(2);
const show = (event, data) => console.log(JSON.stringify({ event: event.type, id: event.lastEventId, data }));

const eventSource = new EventSource(url);

for (const name of ["task_start", "task_complete"]) {
  eventSource.addEventListener(name, (event) => show(event, JSON.parse(event.data)));
}

eventSource.addEventListener("execution_complete", (event) => {
  const data = JSON.parse(event.data);
  data.speedup.toFixed(2); // the document prints it so: it must be a number
  show(event, data);
  eventSource.close();
});

eventSource.addEventListener("error", (event) => {
  if (event.data === undefined) return; // no event of the server: the connection broke, and the browser comes back
  show(event, JSON.parse(event.data));
  eventSource.close();
});
