/** @typedef {import("./use_run.js").RunOptions} RunOptions */
/**
 * A run as a chat: what it says, calls and asks, in order.
 * @param {ReturnType<typeof useRun> | string | null | undefined} run what `useRun` gives, or an id
 * @param {RunOptions} [options] with an id
 */
export function useChat(run: ReturnType<typeof useRun> | string | null | undefined, options?: RunOptions): {
    /**
     * Answers a question: a part of the chat, or one of `questions`.
     * @param {{task?: string, task_id?: string, key: string | null}} question
     * @param {any} value
     */
    answer: ({ task, task_id, key }: {
        task?: string;
        task_id?: string;
        key: string | null;
    }, value: any) => Promise<any>;
    /** Answers the question that has been open for longest. @param {any} value */
    send(value: any): Promise<any>;
    /** Cancels the run. @param {string} [reason] */
    stop: (reason?: string) => Promise<any>;
    parts: import("./chat.js").Part[];
    questions: import("./use_run.js").OpenQuestion[];
    status: "idle" | import("./types.js").Status;
    error: any;
    isStreaming: boolean;
};
export type RunOptions = import("./use_run.js").RunOptions;
import { useRun } from "./use_run.js";
