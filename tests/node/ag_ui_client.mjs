// An HttpAgent: reads one JSON command a line, {message, resume, runId, tell, …}, and prints what came of it.
// ``tell``: a type of event that it prints when it comes.
//   node ag_ui_client.mjs URL THREAD
import { createInterface } from 'node:readline'
import { HttpAgent } from '@ag-ui/client'

const [url, threadId] = process.argv.slice(2)
const agent = new HttpAgent({ url, threadId })
const warnings = []
console.warn = (...parts) => warnings.push(parts.join(' '))
console.error = (...parts) => warnings.push(parts.join(' '))

// the client cancels the reader of a connection that broke, and does not look at what comes of that
process.on('unhandledRejection', (problem) => warnings.push(String(problem)))

const show = (value) => process.stdout.write(JSON.stringify(value) + '\n')

for await (const line of createInterface({ input: process.stdin })) {
  const { message, tell, ...parameters } = JSON.parse(line)
  if (message) agent.addMessage(message)
  const types = []
  let runId
  let outcome = null
  let usage
  let failed = null
  let error = null
  const subscriber = {
    onEvent({ event }) {
      types.push(event.type)
      if (tell === event.type) show({ event })
    },
    onRunStartedEvent({ event }) { runId = event.runId },
    onRunFinishedEvent(finished) { outcome = finished.event.outcome ?? finished.outcome; usage = finished.event.usage },
    onRunErrorEvent({ event }) { failed = { message: event.message, code: event.code } },
  }
  let result
  try {
    result = (await agent.runAgent(parameters, subscriber)).result
  } catch (problem) {
    error = String(problem.message ?? problem)
  }
  show({
    types, runId, outcome, usage, failed, error, result, warnings: warnings.splice(0),
    state: agent.state, messages: agent.messages, pending: agent.pendingInterrupts.map(({ id }) => id),
  })
}
