/** How the models of a run are asked: as trained, as told, or refused where that is not one way. */
import assert from 'node:assert/strict';

import { DEFAULT_SYSTEM } from '../../lib/chat/index.js';
import { chooseForm, type RecordOwner } from '../../lib/evaluation/asked-form.js';
import {
  checkEvaluateOptions,
  type EvaluateOptions,
} from '../../lib/evaluation/evaluate-options.js';
import type { ServingSettings } from '../../lib/model/index.js';

const TRAINED: ServingSettings = {
  template: 'training',
  system: 'Look.',
  tiling: 'off',
  limitsImageArea: true,
  applyExif: false,
  faces: 'off',
};
const OTHERWISE: ServingSettings = { ...TRAINED, system: '', applyExif: true };

function owner(name: string, recorded?: ServingSettings): RecordOwner {
  return { name, recorded, layout: 'hf' };
}

describe('the form in which a run asks', () => {
  it('is the record of the one model, or of the only one with a record, for all of them', () => {
    for (const owners of [
      [owner('base', TRAINED)],
      [owner('base'), owner('tuned', TRAINED)],
      [owner('base', TRAINED), owner('tuned')],
      [owner('base', TRAINED), owner('tuned', { ...TRAINED })],
    ]) {
      const { form, recordedBy } = chooseForm({}, owners);
      assert.deepEqual(form, TRAINED);
      const known = owners.filter(({ recorded }) => recorded !== undefined);
      assert.deepEqual(recordedBy, known.map(({ name }) => name)); // prettier-ignore
    }
  });

  it('is the default of the template without a record', () => {
    const { form, recordedBy } = chooseForm({}, [owner('base'), owner('tuned')]);
    assert.deepEqual(recordedBy, []);
    assert.deepEqual(form, {
      ...{ template: 'hub', system: '', tiling: {}, limitsImageArea: false, applyExif: true },
      faces: 'off',
    });
    const original = { ...owner('base'), layout: 'original' } as const;
    assert.equal(chooseForm({}, [original]).form.template, 'original');
    assert.throws(() => chooseForm({}, [original, owner('tuned')]), /different ways/);
    assert.equal(chooseForm({ template: 'hub' }, [original, owner('tuned')]).form.template, 'hub');
    assert.equal(chooseForm({}, [original, owner('tuned', TRAINED)]).form.template, 'training');
    const { system, tiling } = chooseForm({ template: 'training' }, [owner('base')]).form;
    assert.deepEqual([system, tiling], [DEFAULT_SYSTEM, 'off']);
  });

  it('is what the caller says, beside the rest of the record', () => {
    const owners = [owner('base'), owner('tuned', TRAINED)];
    const { form } = chooseForm({ system: '', maxPixels: 100 }, owners);
    assert.deepEqual(form, { ...TRAINED, system: '', maxPixels: 100 });
    assert.equal(chooseForm({ template: 'hub' }, owners).form.applyExif, true);
  });

  it('is refused where two records differ, each setting named, until the caller says', () => {
    const owners = [owner('base', TRAINED), owner('tuned', OTHERWISE)];
    assert.throws(
      () => chooseForm({}, owners),
      (error: { code?: string; details?: readonly string[] }) => {
        assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
        assert.deepEqual(error.details, [
          'prompt.system (--system): "Look." of base, "" of tuned',
          'prompt.applyExif (--no-exif): false of base, true of tuned',
        ]);
        return true;
      },
    );
    assert.throws(() => chooseForm({ system: '' }, owners), { code: 'FACELLM_INVALID_ARGUMENT' });
    const { form } = chooseForm({ system: '', applyExif: false }, owners);
    assert.deepEqual(form, { ...TRAINED, system: '' });
  });
});

describe('the options of an evaluation', () => {
  it('are told all at once where they are wrong, those of one benchmark too', () => {
    const common = { model: 'm', output: 'o', data: '', limit: 0, seed: -1 };
    const cases: readonly (readonly [object, RegExp])[] = [
      [{ ...common, benchmark: 'attributes', reading: 'none' }, /data.*reading.*limit.*seed/s],
      [
        {
          ...common,
          ...{ benchmark: 'pairs', reading: 'text', impostors: 'some', smallGroup: 0 },
          ...{ genuine: 0, impostor: 0.5, question: ' ', answers: ['Yes', 'Yes'] },
        },
        /expected probability or both.*smallGroup.*genuine.*impostor.*impostors.*question.*two different texts/s,
      ],
      [{ ...common, benchmark: 'pairs', answers: ['Yes', ' '] }, /two different texts/],
    ];
    for (const [options, text] of cases) {
      assert.throws(
        () => checkEvaluateOptions(options as EvaluateOptions),
        (error: { code?: string; details?: readonly string[] }) => {
          assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
          assert.match(error.details?.join('\n') ?? '', text);
          return true;
        },
      );
    }
  });
});
