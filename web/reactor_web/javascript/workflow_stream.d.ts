/**
 * Follows a workflow of agents. Where five attempts in a row open no stream, it asks for the state every two seconds, and
 * goes back to streaming when that works again.
 * @param {string | null | undefined} workflowId
 * @param {WorkflowStreamOptions} [options]
 */
export function useWorkflowStream(workflowId: string | null | undefined, options?: WorkflowStreamOptions): {
    reconnect: () => any;
    /**
     * `{workflowId, name, status, currentAgent, …}`, null until something is known
     */
    workflow: any;
    /**
     * by `agentName`; one that does not change stays the same object
     */
    agents: Record<string, any>;
    /**
     * the last 200
     */
    logs: any[];
    status: Status | "idle";
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
export type Status = import("./types.js").Status;
export type OwnOptions = {
    /**
     * of the stream, with `:id` where the id belongs; or that of the API, like "/api/v1"
     */
    url?: string | undefined;
    /**
     * what is asked while no stream opens; without it the stream's URL less `/stream`
     */
    stateUrl?: string | undefined;
    enabled?: boolean | undefined;
    /**
     * whose streams these are, where the token does not say it
     */
    principal?: string | undefined;
    onEvent?: ((type: string, data: any) => void) | undefined;
    /**
     * an attempt to connect has failed
     */
    onError?: ((error: any) => void) | undefined;
};
export type WorkflowStreamOptions = Omit<FollowOptions, keyof OwnOptions | "types" | "after" | "snapshot"> & OwnOptions;
export type Shown = {
    /**
     * `{workflowId, name, status, currentAgent, …}`, null until something is known
     */
    workflow: any;
    /**
     * by `agentName`; one that does not change stays the same object
     */
    agents: Record<string, any>;
    /**
     * the last 200
     */
    logs: any[];
    status: Status | "idle";
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
