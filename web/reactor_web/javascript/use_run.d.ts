/**
 * A run, live.
 * @param {string | null | undefined} runId none: nothing is asked, and nothing is shown
 * @param {RunOptions} [options]
 */
export function useRun(runId: string | null | undefined, options?: RunOptions): {
    outputs: any;
    /** Connects again at once, also after that has failed. @returns {void} */
    reconnect: () => void;
    /** @param {Parameters<import("./api.js").RemoteRun["cancel"]>} given */
    cancel: (options?: {
        task?: string;
        grace?: number;
        reason?: string;
    } | undefined) => Promise<any>;
    /** @param {Parameters<import("./api.js").RemoteRun["pause"]>} given */
    pause: (options?: {
        reason?: string;
    } | undefined) => Promise<any>;
    /** @param {Parameters<import("./api.js").RemoteRun["resume"]>} given */
    resume: (options?: {
        reason?: string;
    } | undefined) => Promise<any>;
    /** @param {Parameters<import("./api.js").RemoteRun["send"]>} given */
    send: (task: string, value: any, given_2?: {
        key?: string | null;
        run?: string;
    } | undefined) => Promise<any>;
    /**
     * null until something is known
     */
    run: (RunState & {
        progress: number;
    }) | null;
    /**
     * by id; one that does not change stays the same object
     */
    tasks: Record<string, TaskState>;
    /**
     * the last 200 `log.created`
     */
    logs: RunEvent[];
    /**
     * those that are open
     */
    questions: OpenQuestion[];
    /**
     * by task
     */
    chunks: Record<string, {
        attempt: number;
        text: string;
    }>;
    /**
     * the run as a chat
     */
    parts: import("./chat.js").Part[];
    status: import("./types.js").Status | "idle";
    /**
     * by a stream
     */
    isConnected: boolean;
    /**
     * connected, and more will come
     */
    isStreaming: boolean;
    /**
     * why it is not connected
     */
    error: any;
};
export type FollowOptions = import("./types.js").FollowOptions;
export type RunEvent = import("./types.js").RunEvent;
export type RunState = import("./types.js").RunState;
export type TaskState = import("./types.js").TaskState;
export type OpenQuestion = import("./types.js").Question & {
    task_id: string;
};
export type HookOptions = {
    /**
     * where the routes are mounted, "/api/v1"
     */
    url?: string | undefined;
    /**
     * false: nothing is asked, and nothing is shown
     */
    enabled?: boolean | undefined;
    /**
     * who asks, where no token says it. Without it a new text as `token` is somebody else
     */
    principal?: string | undefined;
    /**
     * an attempt to connect has failed
     */
    onError?: ((error: any) => void) | undefined;
};
export type RunOptions = Omit<FollowOptions, "onError"> & HookOptions;
export type RunShown = {
    /**
     * null until something is known
     */
    run: (RunState & {
        progress: number;
    }) | null;
    /**
     * by id; one that does not change stays the same object
     */
    tasks: Record<string, TaskState>;
    /**
     * the last 200 `log.created`
     */
    logs: RunEvent[];
    /**
     * those that are open
     */
    questions: OpenQuestion[];
    /**
     * by task
     */
    chunks: Record<string, {
        attempt: number;
        text: string;
    }>;
    /**
     * the run as a chat
     */
    parts: import("./chat.js").Part[];
    /**
     * once it has completed; large ones are asked for when they are read here
     */
    outputs: any;
    status: import("./types.js").Status | "idle";
    /**
     * by a stream
     */
    isConnected: boolean;
    /**
     * connected, and more will come
     */
    isStreaming: boolean;
    /**
     * why it is not connected
     */
    error: any;
};
