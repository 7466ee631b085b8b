// `useChat`: a run as a chat.
import { useMemo } from "react";
import { useLatest } from "./live.js";
import { useRun } from "./use_run.js";

/** @typedef {import("./use_run.js").RunOptions} RunOptions */

/**
 * A run as a chat: what it says, calls and asks, in order.
 * @param {ReturnType<typeof useRun> | string | null | undefined} run what `useRun` gives, or an id
 * @param {RunOptions} [options] with an id
 */
export function useChat(run, options) {
  const own = useRun(typeof run === "string" ? run : null, options);
  const shown = run && typeof run === "object" ? run : own;
  const latest = useLatest(shown);
  const verbs = useMemo(
    () => ({
      /**
       * Answers a question: a part of the chat, or one of `questions`.
       * @param {{task?: string, task_id?: string, key: string | null}} question
       * @param {any} value
       */
      answer: ({ task, task_id = task, key }, value) => latest.current.send(task_id ?? "", value, { key }),
      /** Answers the question that has been open for longest. @param {any} value */
      async send(value) {
        const [question] = latest.current.questions;
        if (!question) throw new Error("nothing is asked in this run now");
        return verbs.answer(question, value);
      },
      /** Cancels the run. @param {string} [reason] */
      stop: (reason) => latest.current.cancel({ reason }),
    }),
    [],
  );
  const { parts, questions, status, error } = shown;
  /** Whether more may come without an answer. */
  const isStreaming = shown.isStreaming && shown.run?.status === "running" && !questions.length;
  return useMemo(
    () => ({ parts, questions, status, error, isStreaming, ...verbs }),
    [parts, questions, status, error, isStreaming, verbs],
  );
}
