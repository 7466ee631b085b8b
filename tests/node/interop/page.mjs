// What a page does with an EventSource, and with @microsoft/fetch-event-source. Each function stands for
// itself, since it is also sent to a browser as text. `show` is given {opened}, {id, event, data}, {ended}.

/** With a browser's EventSource or that of npm: `names=0` in the URL, so that onmessage is given every event. */
export function followWithEventSource(EventSource, url, show) {
  let last = "";
  let isOver = false;
  function open() {
    // one that was opened anew knows no id
    const source = new EventSource(last ? `${url}&after=${last}` : url);
    source.onopen = () => show({ opened: true });
    source.onmessage = ({ data, lastEventId, type }) => {
      show({ id: lastEventId, event: type, data });
      last = lastEventId;
      const message = JSON.parse(data);
      isOver ||= ["run.completed", "run.failed", "run.cancelled"].includes(message.type);
      if (message.type === "stream.end") {
        source.close();
        show({ ended: "stream.end" });
      }
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return; // it comes back by itself
      if (isOver) show({ ended: "204" });
      else setTimeout(open, 200); // 502: it has given up
    };
  }
  open();
}

export function followWithFetchEventSource(fetchEventSource, url, show) {
  const over = new AbortController();
  let isOver = false;
  let last = "";
  function end(ended) {
    if (over.signal.aborted) return;
    over.abort();
    show({ ended });
  }
  // it remembers an id as soon as it has read its line: cut before the blank line, it would skip that event
  function fetchBehindLast(input, init) {
    const headers = { ...init.headers };
    delete headers["last-event-id"];
    if (last) headers["last-event-id"] = last;
    return fetch(input, { ...init, headers });
  }
  fetchEventSource(url, {
    fetch: fetchBehindLast,
    signal: over.signal,
    openWhenHidden: true, // otherwise a page that is hidden is disconnected
    async onopen(response) {
      if (response.status === 204) return end("204");
      if (!response.ok) throw new Error(`status ${response.status}`); // tried again
      show({ opened: true });
    },
    onmessage({ id, event, data }) {
      if (isOver && event !== "stream.end") show({ error: `${event} after the end` });
      show({ id, event, data });
      last = id || last;
      isOver ||= ["run.completed", "run.failed", "run.cancelled"].includes(event);
      if (event === "stream.end") end("stream.end");
    },
    onclose() {
      throw new Error("closed before the end"); // tried again; without this it takes any clean end for the last one
    },
    onerror: () => undefined, // after the `retry` of the server
  });
}
