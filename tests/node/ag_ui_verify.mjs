// Feeds recorded streams to the parser, the verifier and the state of the vendor's client, in that order.
//   node ag_ui_verify.mjs < lines of {frames}      prints a line of {types, error, warnings, state, messages} for each
import { createInterface } from 'node:readline'
import { defaultApplyEvents, enforceEvents, runHttpRequest, transformChunks, transformHttpEventStream, verifyEvents } from '@ag-ui/client'
import { lastValueFrom, tap, toArray } from 'rxjs'

const warnings = []
console.warn = (...parts) => warnings.push(parts.join(' '))
console.error = (...parts) => warnings.push(parts.join(' '))

for await (const line of createInterface({ input: process.stdin })) {
  const { frames } = JSON.parse(line)
  const types = []
  const agent = { messages: [], state: {}, pendingInterrupts: [] }
  const input = { threadId: 't', runId: 'r', messages: [], state: {}, tools: [], context: [], forwardedProps: {} }
  let error = null
  let state = {}
  let messages = []
  try {
    const headers = { 'content-type': 'text/event-stream' }
    const http = runHttpRequest(async () => new Response(frames, { headers }))
    const events = transformHttpEventStream(http).pipe(enforceEvents(), transformChunks(), verifyEvents(), tap((event) => types.push(event.type)))
    for (const mutation of await lastValueFrom(defaultApplyEvents(input, events, agent, []).pipe(toArray()))) {
      state = mutation.state ?? state
      messages = mutation.messages ?? messages
    }
  } catch (problem) {
    error = String(problem.message ?? problem)
  }
  process.stdout.write(JSON.stringify({ types, error, warnings: warnings.splice(0), state, messages }) + '\n')
}
