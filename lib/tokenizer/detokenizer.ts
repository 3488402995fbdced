/** Token ids to text as they come, never half a character. */

export class Detokenizer {
  readonly #bytesOf: (id: number) => Uint8Array | undefined;
  // BOMs are text like any other; invalid sequences become U+FFFD, one for each maximal subpart.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  /** @param bytesOf bytes of an id, undefined for one to leave out */
  constructor(bytesOf: (id: number) => Uint8Array | undefined) {
    this.#bytesOf = bytesOf;
  }

  /** The text that this id completes; '' while a character is still incomplete. */
  push(id: number): string {
    const bytes = this.#bytesOf(id);
    return bytes === undefined ? '' : this.#decoder.decode(bytes, { stream: true });
  }

  /** What remains: U+FFFD for an incomplete character, else ''. */
  finish(): string {
    return this.#decoder.decode();
  }
}
