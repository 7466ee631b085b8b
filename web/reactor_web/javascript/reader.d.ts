/** @typedef {{event: string, data: string, id: string}} Frame */
export class FrameReader {
    /** Milliseconds, if the server has said so. @type {number | undefined} */
    retry: number | undefined;
    /**
     * The frames that these bytes complete.
     * @param {Uint8Array} bytes
     * @returns {Frame[]}
     */
    push(bytes: Uint8Array): Frame[];
    #private;
}
export type Frame = {
    event: string;
    data: string;
    id: string;
};
