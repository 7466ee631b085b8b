// A chat as useChat makes it, without React: node ai_sdk_chat.mjs <ai | ai7> <default | workflow | workflow-with-id> <api> <chat id>
// Each line of its input is a command, [name, …arguments] as JSON; each is answered with a line of JSON.
import { createInterface } from 'node:readline';

const [major, kind, api, id] = process.argv.slice(2);
const { AbstractChat, DefaultChatTransport, readUIMessageStream } = await import(major);

let cuts = []; // after how many chunks the next responses are cut
let chunks = 0; // of the last response

function cut(response, after) {
  if (response.body === null || !response.ok) return response;
  const decoder = new TextDecoder();
  let text = '';
  const body = response.body.pipeThrough(
    new TransformStream({
      transform(bytes, controller) {
        text += decoder.decode(bytes, { stream: true });
        const frames = text.split('\n\n');
        text = frames.pop();
        for (const frame of frames) {
          if (after !== undefined && chunks >= after) return controller.terminate();
          chunks += frame.includes('data: ') ? 1 : 0;
          controller.enqueue(new TextEncoder().encode(`${frame}\n\n`));
        }
      },
    }),
  );
  return new Response(body, { status: response.status, headers: response.headers });
}

const requests = [];
async function fetchOnce(url, options = {}) {
  requests.push(`${options.method ?? 'GET'} ${url.replace(api, '')}`);
  const response = await fetch(url, options);
  chunks = 0;
  return cut(response, cuts.shift());
}

let transport;
let runId;
if (kind.startsWith('workflow')) {
  const { WorkflowChatTransport } = await import('@ai-sdk/workflow/client');
  console.error = () => {}; // it logs each cut
  transport = new WorkflowChatTransport({
    api,
    fetch: fetchOnce,
    onChatSendMessage: response => {
      runId = response.headers.get('x-workflow-run-id');
    },
    // by itself it says nothing of the chat
    ...(kind === 'workflow' ? {} : { prepareSendMessagesRequest: ({ api, ...body }) => ({ body }) }),
  });
} else {
  transport = new DefaultChatTransport({ api, fetch: fetchOnce });
}

class State {
  status = 'ready';
  error = undefined;
  messages = [];
  pushMessage = message => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, this.snapshot(message));
  };
  snapshot = value => structuredClone(value);
}

const finished = [];
const data = [];
const toolCalls = [];
const chat = new (class extends AbstractChat {})({
  id,
  state: new State(),
  transport,
  onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
    finished.push({ isAbort, isDisconnect, isError, finishReason }),
  onData: part => data.push(part),
  onToolCall: ({ toolCall }) => {
    toolCalls.push(toolCall);
  },
});

function state() {
  const { status, messages } = chat;
  const error = chat.error === undefined ? null : chat.error.message;
  return { status, error, messages, finished, data, toolCalls, requests, runId };
}

async function collect(stream) {
  if (stream === null) return null;
  const seen = [];
  const watched = stream.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        seen.push(structuredClone(chunk)); // the reader changes the data of a part in place
        controller.enqueue(chunk);
      },
    }),
  );
  let message = null;
  for await (const next of readUIMessageStream({ stream: watched })) message = next;
  return { chunks: seen, message };
}

let pending;
const commands = {
  send: async text => chat.sendMessage({ text }).then(state),
  begin: async text => {
    pending = chat.sendMessage({ text });
    while (chat.status !== 'streaming') await new Promise(resolve => setTimeout(resolve, 5));
    return state();
  },
  settle: async () => pending.then(state),
  resume: async () => chat.resumeStream().then(state),
  regenerate: async () => chat.regenerate().then(state),
  leave: async () => chat.stop().then(state),
  load: async messages => {
    chat.messages = messages;
    return state();
  },
  cut: async after => {
    cuts = after;
    return state();
  },
  reconnect: async (chatId, startIndex) => collect(await transport.reconnectToStream({ chatId, startIndex })),
  state: async () => state(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  const answer = await commands[name](...given).catch(error => ({ failed: String(error) }));
  process.stdout.write(`${JSON.stringify(answer ?? null)}\n`);
}
