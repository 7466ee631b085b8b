// The AI SDK on a run that is there: node ai.mjs <ai | ai7> <chat | workflow> API RUN
//
// chat: useChat without React, as a page that is loaded anew: `resumeStream`, and again when the connection breaks.
// workflow: WorkflowChatTransport, which counts what it has and goes on behind it; where it gives up, from the start.
// {anew} says that the message begins anew. Each chunk is a line {chunk}; then comes the `message` made of them.
const [major, kind, api, id] = process.argv.slice(2);
const { AbstractChat, DefaultChatTransport, readUIMessageStream } = await import(major);
const show = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const pause = () => new Promise((resolve) => setTimeout(resolve, 200));
console.error = () => {}; // the transport logs each cut

async function watched(url, options) {
  const response = await fetch(url, options);
  if (response.status === 200) show({ opened: true });
  return response;
}

const watch = (stream) =>
  stream.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        show({ chunk });
        controller.enqueue(chunk);
      },
    }),
  );

class Transport extends DefaultChatTransport {
  async reconnectToStream(options) {
    const stream = await super.reconnectToStream(options);
    return stream && watch(stream);
  }
}

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, this.snapshot(message));
  };
  snapshot = (value) => structuredClone(value);
}

async function chat() {
  let ended;
  const transport = new Transport({ api, fetch: watched });
  const onFinish = ({ isError, finishReason }) => {
    if (!isError && finishReason) ended = `finish ${finishReason}`;
  };
  const chat = new (class extends AbstractChat {})({ id, state: new State(), transport, onFinish });
  while (ended === undefined) {
    chat.messages = []; // the stream begins anew, and so does the message
    show({ anew: true });
    await chat.resumeStream();
    if (ended === undefined) await pause();
  }
  show({ message: chat.messages.at(-1), messages: chat.messages.length });
  show({ ended });
}

async function workflow() {
  const { WorkflowChatTransport } = await import("@ai-sdk/workflow/client");
  // it counts all errors since a stream that ended well
  const transport = new WorkflowChatTransport({ api, fetch: watched, maxConsecutiveErrors: 1000 });
  let seen = [];
  while (seen.at(-1)?.type !== "finish") {
    // not behind `seen`: the transport puts chunks of its own in front where it begins in the middle of a part
    seen = [];
    show({ anew: true });
    try {
      for await (const chunk of await transport.reconnectToStream({ chatId: id })) {
        show({ chunk });
        seen.push(chunk);
      }
    } catch {
      await pause(); // refused, 502: it gives up
    }
  }
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  const writing = (async () => {
    for (const chunk of seen) await writer.write(chunk);
    await writer.close();
  })();
  let message = null;
  for await (const next of readUIMessageStream({ stream: readable })) message = next;
  await writing;
  show({ message, messages: 1 });
  show({ ended: `finish ${seen.at(-1).finishReason}` });
}

await (kind === "chat" ? chat() : workflow());
