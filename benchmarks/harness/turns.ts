/**
 * Runs each of `sides` once a round, in order and then in reverse (A B, B A), so that a drift of the machine hits all alike.
 *
 * @returns what each side's runs gave, in order of rounds
 */
export async function byTurns<Side, Value>(
  sides: readonly Side[],
  rounds: number,
  run: (side: Side) => Value | Promise<Value>,
  afterRound: () => Promise<void> = async () => {},
): Promise<ReadonlyMap<Side, readonly Value[]>> {
  const taken = new Map<Side, Value[]>(sides.map((side) => [side, []]));
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      taken.get(side)?.push(await run(side));
    }
    await afterRound();
  }
  return taken;
}
