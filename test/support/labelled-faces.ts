/** Small folders of pictures with FairFace's labels, made anew for each test. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

const AGES = ['0-2', '3-9', '10-19', '20-29', '30-39', '40-49', '50-59', '60-69', 'more than 70'];
const RACES = [
  ...['White', 'Black', 'Latino_Hispanic', 'East Asian'],
  ...['Southeast Asian', 'Indian', 'Middle Eastern'],
];

export class LabelledFaces {
  readonly folder: string;
  readonly labels: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.labels = join(folder, 'fairface_label_val.csv');
  }

  /** `count` different pictures of 32 x 32 pixels under val/. */
  static async create(count: number): Promise<LabelledFaces> {
    const faces = new LabelledFaces(mkdtempSync(join(tmpdir(), 'facellm-faces-')));
    mkdirSync(join(faces.folder, 'val'));
    const rows = ['file,age,gender,race,service_test'];
    for (let i = 1; i <= count; i++) {
      const background = { r: (i * 37) % 256, g: (i * 101) % 256, b: i % 256 };
      const picture = sharp({ create: { width: 32, height: 32, channels: 3, background } });
      writeFileSync(join(faces.folder, 'val', `${i}.jpg`), await picture.jpeg().toBuffer());
      const gender = i % 2 === 0 ? 'Female' : 'Male';
      rows.push(`val/${i}.jpg,${AGES[i % 9]},${gender},${RACES[i % 7]},True`);
    }
    writeFileSync(faces.labels, `${rows.join('\n')}\n`);
    return faces;
  }

  output(name: string): string {
    return join(this.folder, name);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
