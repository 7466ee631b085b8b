/**
 * A list of runs, newest first, that is always the one that the server would answer now.
 * @param {{status?: string, workflow?: string, parent?: string, root?: string, limit?: number}} [filter]
 * @param {Pick<RunOptions, keyof HookOptions | "token" | "ticket" | "headers" | "credentials" | "fetch" | "clock">} [options]
 */
export function useRuns(filter?: {
    status?: string;
    workflow?: string;
    parent?: string;
    root?: string;
    limit?: number;
}, options?: Pick<RunOptions, keyof HookOptions | "token" | "ticket" | "headers" | "credentials" | "fetch" | "clock">): {
    /** Shows another page below, up to 1,000 runs in all. @returns {void} */
    loadMore: () => void;
    /** Asks at once. @returns {void} */
    refresh: () => void;
    /** Deletes a run that has ended, on the server; the lists of this page have dropped it then. @param {string} runId */
    remove(runId: string): Promise<void>;
    runs: any[];
    error: any;
    isLoading: boolean;
    hasMore: boolean;
};
export type HookOptions = import("./use_run.js").HookOptions;
export type RunOptions = import("./use_run.js").RunOptions;
export type ListShown = {
    runs: any[];
    error: any;
    isLoading: boolean;
    hasMore: boolean;
};
