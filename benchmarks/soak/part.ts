/** One thing that clients do, so many times. */
export interface Part {
  /** How often, where nothing else is asked. */
  readonly count: number;
  /** @returns figures for the report; what must hold is told to `check` */
  run(
    count: number,
    check: (holds: boolean, otherwise: string) => void,
  ): Promise<Readonly<Record<string, unknown>>>;
}
