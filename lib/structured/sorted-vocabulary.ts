/** The text ids of a vocabulary in the order of their bytes, in flat arrays. */
export class SortedVocabulary {
  readonly ids: Int32Array;
  /** Of all ids, one after the other, and where each begins. */
  readonly bytes: Uint8Array;
  readonly offsets: Int32Array;
  /** Bytes that each has in common with the one before. */
  readonly shared: Int32Array;
  readonly longest: number;

  /** @param texts bytes of each id; empty: it is no text */
  constructor(texts: readonly Uint8Array[]) {
    // A character a byte: strings are sorted ten times as fast as buffers.
    const names = texts.map((own) => Buffer.from(own).toString('latin1'));
    const nameOf = (id: number): string => names[id] ?? '';
    const ids = texts.flatMap((own, id) => (own.length > 0 ? [id] : []));
    ids.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0));
    this.ids = Int32Array.from(ids);
    this.offsets = new Int32Array(ids.length + 1);
    this.shared = new Int32Array(ids.length);
    this.bytes = Buffer.from(ids.map(nameOf).join(''), 'latin1');
    let [end, longest] = [0, 0];
    ids.forEach((id, i) => {
      const own = nameOf(id);
      const before = nameOf(ids[i - 1] ?? -1);
      let same = 0;
      while (same < own.length && own[same] === before[same]) same++;
      this.shared[i] = same;
      end += own.length;
      longest = Math.max(longest, own.length);
      this.offsets[i + 1] = end;
    });
    this.longest = longest;
  }
}
