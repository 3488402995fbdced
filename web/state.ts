/** What all parts of the page share: pictures, models, settings; in the tab's memory only. */
import { useEffect, useReducer } from 'preact/hooks';

export interface Picture {
  readonly name: string;
  readonly url: string;
}

export interface Settings {
  model: string;
  tiles: 'auto' | 'off' | number;
  temperature: number;
  topP: number;
  seed: string;
  maxTokens: number;
  system: string;
  template: string;
}

export const settings: Settings = {
  ...{ model: '', tiles: 'auto', temperature: 0, topP: 1, seed: '', maxTokens: 256 },
  ...{ system: '', template: '' },
};
export const shared: { pictures: Picture[]; models: string[]; base: string } = {
  pictures: [],
  models: [],
  base: '',
};

const listeners = new Set<() => void>();

/** After a change of what is shared. */
export function changed(): void {
  for (const listener of listeners) listener();
}

/** Draws the component again after each change. */
export function useShared(): void {
  const [, redraw] = useReducer<number, undefined>((count) => count + 1, 0);
  useEffect(() => {
    const listener = (): void => redraw(undefined);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
}

/** Fields that every question has, as the server takes them. */
export function promptFields(): Record<string, unknown> {
  const { model, tiles, template } = settings;
  return {
    ...(model !== '' && { model }),
    ...(tiles === 'off' ? { tiles } : typeof tiles === 'number' ? { tiles: { max: tiles } } : {}),
    ...(template !== '' && { template }),
  };
}

export const pictureUrls = (): string[] => shared.pictures.map(({ url }) => url);
