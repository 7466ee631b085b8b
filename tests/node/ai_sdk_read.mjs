// Reads UI message streams as a client of the AI SDK does: node ai_sdk_read.mjs <ai | ai7> < {name: text of the stream}
// Prints {name: {refused, errors, message}}: chunks that the schema refuses, errors of the reader, the last message.
import { readFileSync } from 'node:fs';

const { parseJsonEventStream, readUIMessageStream, uiMessageChunkSchema, validateUIMessages } =
  await import(process.argv[2]);

function bytesOf(text) {
  return new Blob([text]).stream();
}

async function read(text) {
  const refused = [];
  const chunks = [];
  for await (const part of parseJsonEventStream({ stream: bytesOf(text), schema: uiMessageChunkSchema })) {
    if (part.success) chunks.push(part.value);
    else refused.push(String(part.error));
  }
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  const errors = [];
  let message = null;
  for await (const next of readUIMessageStream({ stream, onError: error => errors.push(error.message) })) {
    message = next;
  }
  if (message !== null && message.parts.length > 0) {
    await validateUIMessages({ messages: [message] }).catch(error => errors.push(`stored: ${error.message}`));
  }
  return { refused, errors, message };
}

const streams = JSON.parse(readFileSync(0, 'utf8'));
const results = {};
for (const [name, text] of Object.entries(streams)) results[name] = await read(text);
process.stdout.write(JSON.stringify(results));
