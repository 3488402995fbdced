/** Pictures of the question: dropped, pasted, chosen or taken; each with the tiles that the model will see. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { type Planned, post } from './api.js';
import { Failure } from './failure.js';
import { changed, pictureUrls, promptFields, settings, shared, useShared } from './state.js';

const MOST = 8;

function readFile(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(typeof reader.result === 'string' ? reader.result : '');
    reader.onerror = () => reject(reader.error ?? new Error('the file cannot be read'));
    reader.readAsDataURL(file);
  });
}

export async function addFiles(files: Iterable<File>): Promise<void> {
  for (const file of files) {
    if (!file.type.startsWith('image/') || shared.pictures.length >= MOST) continue;
    shared.pictures = [...shared.pictures, { name: file.name, url: await readFile(file) }];
  }
  changed();
}

const counted = (tiles: number): string => (tiles === 1 ? '1 tile' : `${tiles} tiles`);

interface Plan {
  readonly images: readonly Planned[];
  readonly prompt_tokens: number;
  readonly fits: boolean;
}

export function Pictures() {
  useShared();
  const [plan, setPlan] = useState<Plan>();
  const [error, setError] = useState<unknown>();
  const [isOver, setOver] = useState(false);
  const { pictures } = shared;
  const asked = JSON.stringify([promptFields(), settings.tiles]);
  useEffect(() => {
    setPlan(undefined);
    setError(undefined);
    if (pictures.length === 0) return;
    const stop = new AbortController();
    post<Plan>('/v1/plan', { images: pictureUrls(), ...promptFields() }, stop.signal)
      .then(setPlan)
      .catch((reason: unknown) => {
        if (!stop.signal.aborted) setError(reason);
      });
    return () => stop.abort();
  }, [pictures, asked]);
  useEffect(() => {
    const paste = (event: ClipboardEvent): void => void addFiles(event.clipboardData?.files ?? []);
    addEventListener('paste', paste);
    return () => removeEventListener('paste', paste);
  }, []);
  return (
    <section aria-label="Pictures">
      <div
        class={isOver ? 'drop over' : 'drop'}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void addFiles(event.dataTransfer?.files ?? []);
        }}
      >
        <label class="button">
          Choose pictures
          <input
            type="file"
            accept="image/*"
            multiple
            onChange={(event) => {
              void addFiles(event.currentTarget.files ?? []);
              event.currentTarget.value = '';
            }}
          />
        </label>
        <Camera />
        <span class="hint">or drop or paste them here</span>
      </div>
      <div class="pictures">
        {pictures.map((picture, i) => (
          <Tiled
            key={picture.url}
            name={picture.name}
            url={picture.url}
            plan={plan?.images[i]}
            place={i}
          />
        ))}
      </div>
      {plan !== undefined && (
        <p class="facts" id="plan">
          {counted(plan.images.reduce((sum, { tiles }) => sum + tiles, 0))}, {plan.prompt_tokens}{' '}
          tokens
          {!plan.fits && ': too many for a question'}
        </p>
      )}
      <TileSwitch />
      <Failure error={error} />
    </section>
  );
}

function Tiled(props: {
  readonly name: string;
  readonly url: string;
  readonly plan: Planned | undefined;
  readonly place: number;
}) {
  const { name, url, plan, place } = props;
  const grid = plan === undefined ? [] : plan.thumbnail ? plan.boxes.slice(0, -1) : plan.boxes;
  return (
    <figure>
      <div class="tiled">
        <img src={url} alt={`Picture ${place + 1}: ${name}`} />
        {plan !== undefined && (
          <svg
            viewBox={`0 0 ${plan.width} ${plan.height}`}
            preserveAspectRatio="none"
            aria-hidden="true"
          >
            {grid.map(([x, y, width, height]) => (
              <rect {...{ x, y, width, height }} vector-effect="non-scaling-stroke" />
            ))}
          </svg>
        )}
      </div>
      <figcaption>
        {plan !== undefined &&
          `${plan.width} × ${plan.height}, ${counted(plan.tiles)}${plan.thumbnail ? ' with thumbnail' : ''}`}
        <button
          type="button"
          aria-label={`Remove picture ${place + 1}`}
          onClick={() => {
            shared.pictures = shared.pictures.filter((one) => one.url !== url);
            changed();
          }}
        >
          Remove
        </button>
      </figcaption>
    </figure>
  );
}

function TileSwitch() {
  const { tiles } = settings;
  return (
    <label class="inline">
      Tiles
      <select
        value={String(tiles)}
        onChange={({ currentTarget: { value } }) => {
          settings.tiles = value === 'auto' || value === 'off' ? value : Number(value);
          changed();
        }}
      >
        <option value="auto">as the model was trained</option>
        <option value="off">off: the whole picture as one</option>
        {[2, 4, 6, 9, 12].map((most) => (
          <option value={most}>at most {most}</option>
        ))}
      </select>
    </label>
  );
}

/** Asked for on a click and let go after one picture. */
function Camera() {
  const [live, setLive] = useState<MediaStream>();
  const video = useRef<HTMLVideoElement>(null);
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    if (video.current !== null) video.current.srcObject = live ?? null;
    return () => live?.getTracks().forEach((track) => track.stop());
  }, [live]);
  const take = async (): Promise<void> => {
    const element = video.current;
    if (element === null) return;
    const canvas = document.createElement('canvas');
    canvas.width = element.videoWidth;
    canvas.height = element.videoHeight;
    canvas.getContext('2d')?.drawImage(element, 0, 0);
    const blob = await new Promise<Blob | null>((resolve) =>
      canvas.toBlob(resolve, 'image/jpeg', 0.95),
    );
    setLive(undefined);
    if (blob !== null) await addFiles([new File([blob], 'camera.jpg', { type: 'image/jpeg' })]);
  };
  if (!('mediaDevices' in navigator)) return null;
  return (
    <>
      <button
        type="button"
        onClick={() => {
          if (live !== undefined) setLive(undefined);
          else navigator.mediaDevices.getUserMedia({ video: true }).then(setLive, setError);
        }}
      >
        {live === undefined ? 'Camera' : 'Close camera'}
      </button>
      {live !== undefined && (
        <div>
          <video ref={video} autoplay muted playsInline />
          <button type="button" onClick={() => void take()}>
            Take picture
          </button>
        </div>
      )}
      <Failure error={error} />
    </>
  );
}
