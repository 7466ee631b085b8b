export class Sharing {
    /** @param {string} name of the channel @param {string} base @param {any} options @param {any} [how] to elect */
    constructor(name: string, base: string, options: any, how?: any);
    /** @type {Set<import("./lane.js").Lane>} */
    lanes: Set<import("./lane.js").Lane>;
    /** The last position that was heard of: another leader goes on from there. */
    position: string;
    election: Election;
    /** @param {import("./lane.js").Lane} lane */
    add(lane: import("./lane.js").Lane): void;
    /** @param {import("./lane.js").Lane} lane */
    remove(lane: import("./lane.js").Lane): void;
    close(): void;
    reconnect(): void;
    #private;
}
import { Election } from "./election.js";
