// Reads UI message streams as a client of the AI SDK does: node ai_sdk_read.mjs <ai | ai7>
// Each line of its input is the text of a stream, as JSON; each line of its output is what became of it:
// {refused: chunks that the schema refuses, errors: of the reader, chunks, message: the last one}
import { createInterface } from 'node:readline';

const { parseJsonEventStream, readUIMessageStream, uiMessageChunkSchema, validateUIMessages } =
  await import(process.argv[2]);

async function parse(text) {
  const refused = [];
  const chunks = [];
  const stream = new Blob([text]).stream();
  for await (const part of parseJsonEventStream({ stream, schema: uiMessageChunkSchema })) {
    if (part.success) chunks.push(part.value);
    else refused.push(String(part.error));
  }
  return { refused, chunks };
}

async function read(text) {
  const { refused, chunks } = await parse(text);
  const errors = [];
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of structuredClone(chunks)) controller.enqueue(chunk);
      controller.close();
    },
  });
  let message = null;
  for await (const next of readUIMessageStream({ stream, onError: error => errors.push(error.message) })) {
    message = next;
  }
  if (message !== null && message.parts.length > 0) {
    // as an application does before it stores a message
    await validateUIMessages({ messages: [message] }).catch(error => errors.push(`stored: ${error.message}`));
  }
  return { refused, errors, chunks, message };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await read(JSON.parse(line)))}\n`);
}
