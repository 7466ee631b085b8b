// A page that follows one workflow of agents: `node agents.mjs BASE ID [BACKOFF_MS]`.
// The hook is written from the description of its stream alone: named events, at most five attempts to reconnect with
// growing pauses, then polling, and `reconnect()`. Each state that React renders is printed as a line of JSON.
// A line `reconnect` on stdin presses the button; `leave` unmounts the page.
import { createElement, useCallback, useEffect, useRef, useState } from "react";
import { create } from "react-test-renderer";
import { EventSource } from "eventsource";
import { createInterface } from "node:readline";

const [base, workflowId, backoff = "1000"] = process.argv.slice(2);
const MAX_ATTEMPTS = 5;
const BACKOFF_MS = Number(backoff);
const LONGEST_BACKOFF_MS = 30_000;
const POLL_MS = Math.max(BACKOFF_MS, 50);
const LOGS_KEPT = 200;
const EVENTS = [
  "workflow:state", "workflow:started", "workflow:running", "workflow:completed", "workflow:failed",
  "agent:state", "agent:started", "agent:progress", "agent:completed", "agent:failed",
  "budget:warning", "budget:exceeded", "log:created",
];

function useWorkflowStream(id, { onEvent, onError }) {
  const [workflow, setWorkflow] = useState(null);
  const [agents, setAgents] = useState({});
  const [logs, setLogs] = useState([]);
  const [isConnected, setConnected] = useState(false);
  const [isStreaming, setStreaming] = useState(false);
  const [error, setError] = useState(null);
  const [isPolling, setPolling] = useState(false);
  const [generation, setGeneration] = useState(0);
  const attempts = useRef(0);

  const apply = useCallback((type, data) => {
    const patch = (changes) =>
      setAgents((all) => ({ ...all, [data.agentName]: { ...all[data.agentName], ...changes } }));
    switch (type) {
      case "workflow:state": // of each connection the first: what follows is the whole again
        setWorkflow(data);
        setAgents({});
        setLogs([]);
        break;
      case "workflow:started":
        setWorkflow((now) => ({ ...now, ...data, status: "running" }));
        break;
      case "workflow:running":
        setWorkflow((now) => ({ ...now, ...data }));
        break;
      case "workflow:completed":
      case "workflow:failed":
        setWorkflow((now) => ({ ...now, ...data, status: type.slice("workflow:".length) }));
        break;
      case "agent:state":
        patch(data);
        break;
      case "agent:started":
        setAgents((all) => ({ ...all, [data.agentName]: { ...data, status: "running" } }));
        break;
      case "agent:progress":
        patch({ message: data.message });
        break;
      case "agent:completed":
      case "agent:failed":
        patch({ ...data, status: type.slice("agent:".length) });
        break;
      case "log:created":
        setLogs((now) => [...now, data].slice(-LOGS_KEPT));
        break;
    }
  }, []);

  useEffect(() => {
    let source, timer;
    let done = false;
    const connect = () => {
      source = new EventSource(`${base}/api/workflows/${id}/stream`);
      source.onopen = () => {
        attempts.current = 0;
        setConnected(true);
        setStreaming(true);
        setError(null);
      };
      source.onerror = (problem) => {
        source.close();
        setConnected(false);
        setStreaming(false);
        if (done) return;
        onError(problem.message ?? "connection lost");
        setError(problem.message ?? "connection lost");
        if (attempts.current >= MAX_ATTEMPTS) {
          setPolling(true);
          return;
        }
        timer = setTimeout(connect, Math.min(BACKOFF_MS * 2 ** attempts.current++, LONGEST_BACKOFF_MS));
      };
      for (const type of EVENTS) {
        source.addEventListener(type, (event) => {
          let data;
          try {
            data = JSON.parse(event.data);
          } catch (problem) {
            console.error("not JSON", problem);
            return;
          }
          onEvent(type, data);
          apply(type, data);
          if (type === "workflow:completed" || type === "workflow:failed") {
            done = true;
            setStreaming(false);
          }
        });
      }
    };
    connect();
    return () => {
      clearTimeout(timer);
      source.close();
    };
  }, [id, generation]);

  useEffect(() => {
    if (!isPolling) return;
    const poll = async () => {
      const answer = await fetch(`${base}/api/workflows/${id}`).catch(() => null);
      if (!answer?.ok) return;
      const shown = await answer.json();
      setWorkflow(shown.workflow);
      setAgents(Object.fromEntries(shown.agents.map((agent) => [agent.agentName, agent])));
      setLogs(shown.logs.slice(-LOGS_KEPT));
      if (["completed", "failed", "cancelled"].includes(shown.workflow.status)) setPolling(false);
    };
    poll();
    const timer = setInterval(poll, POLL_MS);
    return () => clearInterval(timer);
  }, [isPolling, id]);

  const reconnect = useCallback(() => {
    attempts.current = 0;
    setPolling(false);
    setGeneration((now) => now + 1);
  }, []);

  return { workflow, agents, logs, isConnected, isStreaming, error, isPolling, reconnect };
}

const heard = [];
const failures = [];
let press;

function WorkflowDetail({ workflowId }) {
  const { reconnect, ...shown } = useWorkflowStream(workflowId, {
    onEvent: (type) => heard.push(type),
    onError: (problem) => failures.push(problem),
  });
  press = reconnect;
  useEffect(() => console.log(JSON.stringify({ ...shown, heard, failures: failures.length })));
  return createElement("h1", null, shown.workflow?.name);
}

const page = create(createElement(WorkflowDetail, { workflowId }));
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "reconnect") press();
  if (line === "leave") {
    page.unmount();
    process.exit(0);
  }
});
