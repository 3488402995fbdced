/** What a question has become when the engine is about to get it. */
import { type FacesSeen, facesOf, type PicturedPrompt } from '../generation/index.js';
import { callback, type Shape } from '../options/index.js';

export interface PreparedPrompt extends FacesSeen {
  /** Those of pictures among them. */
  readonly promptTokens: number;
  /** Of each picture that the model sees, in the order of their places; with thumbnails. */
  readonly tiles: readonly number[];
}

export interface Preparation {
  /**
   * Called once the call's pictures are decoded and its prompts are encoded: nothing that follows is the question's
   * fault. The engine gets the call when what this returns is done; what it throws rejects the call.
   */
  readonly whenPrepared?:
    ((prompts: readonly PreparedPrompt[]) => void | Promise<void>) | undefined;
}

export const preparationShape: Shape<Preparation> = {
  whenPrepared: callback<NonNullable<Preparation['whenPrepared']>>().optional(),
};

type Cut = Pick<PicturedPrompt['images'][number], 'columns' | 'rows' | 'hasThumbnail'>;

const tilesOf = ({ columns, rows, hasThumbnail }: Cut): number =>
  columns * rows + Number(hasThumbnail);

export function describePrompt(prompt: PicturedPrompt): PreparedPrompt {
  const { ids, images } = prompt;
  return { promptTokens: ids.length, tiles: images.map(tilesOf), ...facesOf(prompt) };
}

/** Of pictures that no question comes with. */
export function describePictures(images: readonly Cut[], tokensPerTile: number): PreparedPrompt {
  const tiles = images.map(tilesOf);
  return { promptTokens: tiles.reduce((sum, count) => sum + count * tokensPerTile, 0), tiles };
}
